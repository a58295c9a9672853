// Package eventmysql connects the events library with MySQL (8.0.19 or later)
// and MariaDB (10.6 or later), over github.com/go-sql-driver/mysql:
// transactions that carry events, exactly-once marks, and the outbox that the
// relay reads.
//
//	db, err := eventmysql.Open(ctx, "user:password@tcp(host:3306)/shop", eventmysql.WithMigrate())
//	...
//	err = db.Transact(ctx, func(tx *eventmysql.Tx) error {
//		if _, err := tx.ExecContext(ctx, `INSERT INTO orders ...`); err != nil {
//			return err
//		}
//		tx.Produce(placed.Event(order.ID, OrderPlaced{...}))
//		return nil
//	})
//
// A service that has a pool uses [Wrap], and one that has a transaction type
// of its own [New]. Events can also be produced in transactions that the
// application begins and ends itself, with ProduceTx: of database/sql, and so
// of GORM, sqlc, sqlx.
//
// # What holds, and what it needs
//
// An event is stored in the transaction that produced it and commits with it
// or not at all. It is in Kafka at least once. It needs commits that last
// (innodb_flush_log_at_trx_commit = 1, and sync_binlog = 1 where there are
// replicas; the relay warns of others), and one server that takes all the
// writes: not several of a Galera cluster or a replication group at a time,
// whose transactions have no common order. auto_increment_increment must be 1,
// which is checked.
//
// Without the binary log, or with another sync_binlog than 1, InnoDB shows a
// commit to others some milliseconds before it is on the disk. The relay then
// makes a small commit of its own after each read that has found events, and
// waits for that before it sends them, so that a crash takes back no transaction
// whose events were sent.
//
// Events of one key are sent in the order of their commits if their
// transactions update a common row: the row's lock is held while the events
// are stored, just before COMMIT. (With ProduceTx they are stored at once:
// call it after the update.) [WithKeyLocks] makes it hold for all
// transactions.
//
// The effects of an exactly-once handler, its events and its marks are in one
// READ COMMITTED transaction, also where the server's default is another
// level. Keys, ids and marks are binary: no collation merges two.
//
// When the connection is lost during COMMIT nobody knows whether the
// transaction took effect; Transact then returns
// [eventmodels.ErrCommitUnknown]. The end of a context does not have this
// effect: a COMMIT that has been sent is waited for, for half a minute.
//
// # Gaps
//
// Transactions draw the numbers of their rows in another order than they commit
// in, so the relay looks again for each number that it has passed over. InnoDB
// draws them before a transaction can be seen anywhere, so that nothing proves
// that one will never appear: the relay looks for five minutes. What that means:
//
//   - Each row that was stored and rolled back is in the relay's reads for five
//     minutes, at a cost of microseconds. Rows are stored just before COMMIT, so
//     that few are; a thousand of them at a time, as ProduceTx in transactions
//     that are rolled back three times a second leaves behind, add some ten
//     milliseconds to a read. They delay no other event.
//   - Libraries with different prefixes that share a database share the numbers,
//     too: each other's rows are gaps, of about two microseconds in a read for
//     each run of them. A hundred a second of another library add 60 ms to each
//     read. Libraries that have more to send should have databases of their own.
//   - A transaction that stays open for more than five minutes after it has
//     stored events delays these, and no others, by up to five minutes more:
//     until the relay reads the outbox from the beginning. Their order is kept,
//     since it holds the lock of its row for so long.
//
// # What may surprise
//
//   - Events produced after a SAVEPOINT are sent although it is rolled back.
//   - CREATE, ALTER, DROP, TRUNCATE and others commit the transaction that they
//     are in, like a COMMIT in SQL. Transact notices, skips the events, and
//     returns [eventmodels.ErrTransactionEnded]. For this it sets a savepoint
//     at the beginning and releases it before COMMIT: two round trips, which
//     transactions of types of the application's own do without. A
//     transaction that queries with FOR UPDATE and the like has two more: an
//     ignored deadlock must not leave it without one.
//   - After a deadlock or a lock timeout a [Tx] refuses all further statements
//     and rolls back, also if the error was ignored.
//   - Deliveries of one event that wait for one which then rolls back are called
//     deadlocked by the server (all but one of them), and tried again. No handler
//     has been called by then.
//   - Rows of a query must be closed before the next statement of the
//     transaction; else the driver gives the connection up.
//
// # Connections
//
// Besides the pool that [Open] makes, each process has up to five connections
// for the relay and the deletion of old marks, made when they are needed, with
// the settings of the data source name. The driver does not tell how those of an
// application's pool are made: with [Wrap] and [New] the relay takes its
// connections out of that pool and keeps them, so that handlers cannot take them
// away. The relay is not told of commits in other processes; while there is
// something to do it looks every millisecond, and then less and less often, up
// to the sleepTime of CatchUpProduce.
//
// # Rights
//
// The user needs CREATE and INDEX on the database for [Migrate], and to work
// SELECT, INSERT, UPDATE and DELETE on events_outbox, events_outbox_parked,
// events_lease and events_marks, SELECT and UPDATE on events_key_locks (with
// [WithKeyLocks]), and SELECT on events_schema (if it calls Migrate). A service
// that only produces needs INSERT on events_outbox.
package eventmysql
