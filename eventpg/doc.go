// Package eventpg connects the events library with PostgreSQL (13 or later),
// over pgx v5: transactions that carry events, exactly-once marks, and the
// outbox that the relay reads.
//
//	db, err := eventpg.Open(ctx, dsn, eventpg.WithMigrate())
//	...
//	err = db.Transact(ctx, func(tx *eventpg.Tx) error {
//		if _, err := tx.ExecContext(ctx, `INSERT INTO orders ...`); err != nil {
//			return err
//		}
//		tx.Produce(placed.Event(order.ID, OrderPlaced{...}))
//		return nil
//	})
//
// A service that has a pool uses [Wrap] or [WrapPool], and one that has a transaction type
// of its own [New]. Events can also be produced in transactions that the
// application begins and ends itself, with ProduceTx: of database/sql (and so
// of GORM, sqlc, sqlx) or of pgx.
//
// # What holds, and what it needs
//
// An event is stored in the transaction that produced it and commits with it
// or not at all. It is in Kafka at least once. It needs commits that last:
// after a crash of a server with synchronous_commit = off, or a failover to a
// replica that was behind, transactions are gone whose events may have been
// sent, and events whose transactions had been reported as committed.
//
// Events of one key are sent in the order of their commits if their
// transactions update a common row: the row's lock is held while the events
// are stored, just before COMMIT. (With ProduceTx they are stored at once:
// call it after the update.) [WithKeyLocks] makes it hold for all
// transactions. It needs sequences that draw one number at a time, which is
// checked.
//
// The effects of an exactly-once handler, its events and its marks are in one
// READ COMMITTED transaction, also where the database's default is another
// level.
//
// When the connection is lost during COMMIT nobody knows whether the
// transaction took effect; Transact then returns
// [eventmodels.ErrCommitUnknown]. The end of a context does not have this
// effect: a COMMIT that has been sent is waited for, for half a minute.
//
// # What may surprise
//
//   - Events produced after a SAVEPOINT are sent although it is rolled back.
//   - A COMMIT in SQL, or on the native connection, skips the events, which
//     Transact reports as [eventmodels.ErrTransactionEnded], except if another
//     transaction was begun after it.
//   - Rows of a query must be closed before the next statement of the
//     transaction.
//   - A statement_timeout of the handler's transaction is the handler's error
//     and counts as an attempt.
//   - An open transaction, of any database of the server, delays nobody's
//     events but its own, but makes the relay look for longer for rows that
//     were rolled back, and keeps vacuum from the outbox. So do replication
//     slots that nobody reads.
//
// # Connections
//
// Besides the application's pool, each process has up to five connections for
// the relay and one to listen for notifications, made when they are needed,
// with the settings of the pool's connections. They set session parameters,
// prepare statements and LISTEN: with PgBouncer, give the library a connection
// string that goes to the server, or to a pool in session mode.
//
// # Rights
//
// The user needs CREATE on the schema for [Migrate], and to work
//
//	GRANT USAGE ON SCHEMA app TO service;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON
//		events_outbox, events_outbox_parked, events_lease, events_marks TO service;
//	GRANT SELECT ON events_schema TO service; -- if it calls Migrate
//
// A process that produces and leaves relaying to others (SetLazyTxProduce) needs
// INSERT on events_outbox only. The tables are found by the search_path.
package eventpg
