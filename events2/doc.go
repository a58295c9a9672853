// Package events2 connects the events library with SingleStore (8.0 or later),
// over github.com/go-sql-driver/mysql: transactions that carry events,
// exactly-once marks, and the outbox that the relay reads.
//
//	db, err := events2.Open(ctx, "user:password@tcp(host:3306)/shop", events2.WithMigrate())
//	...
//	err = db.Transact(ctx, func(tx *events2.Tx) error {
//		if _, err := tx.ExecContext(ctx, `INSERT INTO orders ...`); err != nil {
//			return err
//		}
//		tx.Produce(placed.Event(order.ID, OrderPlaced{...}))
//		return nil
//	})
//
// A service that has a pool uses [Wrap], and one that has a transaction type
// of its own [New]. Events can also be produced in transactions that the
// application begins and ends itself, with ProduceTx.
//
// The tests run on SingleStore where EVENTS_S2_DSN names one. Without it, all
// statements but the definitions of tables' shards and storage are tried on
// MariaDB; testdata/statements.sql has every one of them.
//
// # What holds, and what it needs
//
// An event is stored in the transaction that produced it and commits with it
// or not at all. It is in Kafka at least once. It needs commits that last: a
// database made WITH SYNC DURABILITY (asynchronous is a default) and with
// synchronous replication, and two_phase_commit left on.
//
// Events of one key are sent in the order of their commits, whatever else their
// transactions do. Nothing of this rests on AUTO_INCREMENT, of which every
// aggregator has a range of its own, nor on the locks of the application's rows:
// those are in other partitions, where a commit can be seen earlier than in the
// outbox's. Instead
//
//   - the outbox of a scope (a library's prefix), its counter and its locks are
//     in one partition, of which a statement sees one snapshot;
//   - before a transaction stores events it locks, there, a row for each of their
//     keys (hashed to 256), until it ends: the next one with the same key goes on
//     when the first one can be seen. Transactions with events of one key, or of
//     two with one hash, therefore commit one after the other;
//   - then it draws numbers from the scope's counter, outside of the transaction,
//     so that nobody waits for it.
//
// Events without key have no order and take no lock. Two transactions that
// produce events of the same keys in several calls of ProduceTx, in different
// orders, wait for each other until one of them times out: SingleStore does not
// look for deadlocks. tx.Produce takes all locks at once, in one order.
//
// All of a scope's events pass through one partition, and so through one leaf:
// what that can insert and delete is the limit. Libraries with different prefixes
// are in different partitions.
//
// The effects of an exactly-once handler, its events and its marks are in one
// transaction, READ COMMITTED, which is SingleStore's only level.
//
// # Storage
//
// All tables but one are rowstores: their rows are written and deleted one by
// one, under row locks, and the outbox holds what is under way only. Marks take
// about 200 bytes of memory each, for as long as they are kept: 30 days of a
// million events a day are 6 GB, and a reason to keep them for less. Parked
// events are a columnstore, since they are few, large and seldom looked at.
// There are no foreign keys.
//
// # What may surprise
//
//   - Nothing proves that a number which was drawn will never appear; see "Gaps"
//     in the documentation of eventmysql, which is the same here.
//   - There are no savepoints: a COMMIT in SQL, or a statement that commits
//     implicitly, is not noticed. What comes after it takes effect by itself, the
//     events too.
//   - After a lock timeout a [Tx] refuses all further statements and rolls back,
//     also if the error was ignored.
//   - The lease goes by the clocks of the aggregators: they must agree to within
//     a second.
//
// # Connections
//
// Besides the pool that [Open] makes, each process has up to five connections
// for the relay and the deletion of old marks, and one to draw numbers with.
// With [Wrap] and [New] they are taken out of the application's pool and kept.
// The relay is not told of commits in other processes, and polls.
package events2
