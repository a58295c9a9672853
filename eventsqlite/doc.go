// Package eventsqlite keeps the outbox and the exactly-once marks of a Library
// in an SQLite database: the embedded default, for services that live on one
// machine, for tools, demos and tests. It is made of modernc.org/sqlite, so
// that nothing but Go is needed.
//
//	db, err := eventsqlite.Open(ctx, "orders.db", eventsqlite.WithMigrate())
//	...
//	err = db.Transact(ctx, func(tx *eventsqlite.Tx) error {
//		if _, err := tx.ExecContext(ctx, `INSERT INTO orders ...`); err != nil {
//			return err
//		}
//		tx.Produce(placed.Event(order.ID, OrderPlaced{...}))
//		return nil
//	})
//
// [Wrap] does it with an *sql.DB that the service has opened itself.
//
// # Guarantees
//
// Data and events of a transaction commit together or not at all. A commit is
// on the disk when it returns, as far as the disk tells the truth
// (synchronous=FULL; [Wrap] leaves this to the service). One transaction
// writes at a time, so that all transactions have one order: events of a
// scope, whatever their keys, reach Kafka's partitions in the order of the
// commits.
//
// An exactly-once handler's effects, its mark and the events that it produces
// are one transaction.
//
// # Limits
//
// There is one writer. A transaction has the write lock from its beginning to
// its end, and so has an exactly-once handler while it runs: a slow one keeps
// all other writers waiting, in this and in other processes, the relay's lease
// and deletions among them. Keep transactions short, and call nothing in them
// that waits for another service. What writes inside of a Transact function
// by another way than its tx waits for itself.
//
// Reading outside of transactions waits for nobody: the file is in WAL mode. A
// reader that goes on for long keeps the WAL file from being reused, which
// grows meanwhile.
//
// The database is a file on one machine. Its processes share it through locks
// and shared memory, which network file systems do not have. Other processes
// cannot be told that there is something to relay: their relays poll.
//
// Nothing else in the process may open the file by itself (to copy it, say):
// closing it would drop SQLite's locks. Copy with VACUUM INTO.
//
// # Waiting
//
// Transactions of one process wait for the write lock in the order in which
// they have come, until their context ends; against other processes they try
// again every few milliseconds. All of it is done in Go: busy_timeout is 0, and
// under testing/synctest it takes virtual time. "Now", in leases, marks and
// ages, is the process's time.Now.
//
// A transaction whose context ends is rolled back by database/sql. A single
// write whose own context ends takes its whole transaction with it; see [Tx].
package eventsqlite
