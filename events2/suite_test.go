package events2

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/mysqltest"
	"github.com/seed46dd6f11/events/internal/storetest"
)

type testDatabase = storetest.Database[eventmodels.BinaryEventID, *Tx, *DB, Option]

// What the tests of stores look at in the server is MariaDB's and MySQL's, so
// they do not run on SingleStore. The Library's do (see TestConformance).
func TestStore(t *testing.T) {
	suite := &storetest.Backend[eventmodels.BinaryEventID, *Tx, *DB, Option]{
		Name: "events2", Proof: eventmodels.ProofClock,
		DialectOf: func(db *DB) eventdb.Dialect { return dialect{sequence: db.sequence} },
		LeaveOut: []string{
			// Only SingleStore knows the definitions of the tables: they are
			// there already.
			"Migrate", "Transact/WithoutTables",
			// There are no savepoints: nobody notices.
			"Transact/CommittedBehindItsBack", "Transact/ThatFails",
			// The tables are locked at COMMIT, and the counter with them.
			"Transact/CommitOutlivesItsContext", "Transact/CommitWhoseConnectionIsLost",
			// Keys are always locked: transactions that are open at the same time
			// wait for each other.
			"Transact/ProduceTx",
			// Deletes that find rows by a list wait for what others have inserted,
			// which they do not in SingleStore.
			"Outbox/Delete", "Outbox/ReadingKeepsCommitOrder", "Marks/Delete",
		},
		Open: Open, Wrap: Wrap, WithMigrate: WithMigrate, WithMarkWait: WithMarkWait,
		WithKeyLocks:       func() Option { return func(*config) {} }, // they are always taken
		WithMaxConnections: WithMaxConnections, DefaultMaxConnections: DefaultMaxConnections,
		Migrate: Migrate, CheckSchema: CheckSchema, Schema: Schema, ErrSchema: ErrSchema,
		New: storetest.Constructors[eventmodels.BinaryEventID]{
			SQL: func(pool *sql.DB) storetest.DB[eventmodels.BinaryEventID, *sql.Tx] { return New[*sql.Tx](pool, "") },
			Example: func(db eventdb.ExampleBasicDB) storetest.DB[eventmodels.BinaryEventID, *eventdb.ExampleBasicTX] {
				return New[*eventdb.ExampleBasicTX](db, "")
			},
			Bare: func(db storetest.BareDB) storetest.DB[eventmodels.BinaryEventID, *sql.Tx] {
				return New[*sql.Tx](db, "")
			},
			Kept: mysqldb.KeptConnections + 1,
		},
		PoolOf: func(db *DB) *sql.DB { return db.Unwrap().DB },
		Begin:  func(ctx context.Context, db *DB) (*Tx, error) { return db.Unwrap().BeginTx(ctx, nil) },
	}
	suite.Server = mysqltest.Server[*Tx, *DB, Option](func(t testing.TB) string {
		t.Helper()
		return mysqltest.ServerDSN(t, "EVENTS_MYSQL_DSN")
	}, "UPDATE events_key_locks")
	suite.Server.Empty = func(t testing.TB) (dsn string) {
		t.Helper()
		dsn, singleStore := database(t)
		if singleStore {
			t.Skip("these tests change settings that MySQL and MariaDB have, and SingleStore has not")
		}
		// SingleStore's only level.
		return mysqltest.Changed(t, dsn, func(c *mysql.Config) { c.Params = map[string]string{isolation(t, dsn): "'READ-COMMITTED'"} })
	}
	suite.Store = storetest.Store[eventmodels.BinaryEventID, *Tx, *DB, Option]{
		Work: func(ctx context.Context, s eventmodels.OutboxStore, f func(context.Context) error) error {
			return s.(*store).connections.Work(ctx, func(ctx context.Context, _ *sql.Conn) error { return f(ctx) })
		},
		WorkConnections: mysqldb.StoreConnections - 1,
		Cut:             func(t testing.TB, d *testDatabase, _ eventmodels.OutboxStore) { mysqltest.KillAll(t, d.Admin) },
		LostCalls:       mysqldb.StoreConnections - 1,
		ErrClosed:       mysqldb.ErrClosed,
		InsertBytes:     mysqldb.InsertBytes,
		Ways: func(t testing.TB, d *testDatabase) map[string]storetest.Way {
			return mysqltest.Ways(t, d.Dialect, d.DSN, func(pool *sql.DB) eventmodels.OutboxStore {
				db := Wrap(pool)
				t.Cleanup(func() { _ = db.Close() })
				return storetest.OpenStore(t, db)
			})
		},
	}
	suite.Transactions = storetest.Transactions[eventmodels.BinaryEventID, *Tx, *DB, Option]{
		MarksDeadlock:  true,
		NoTransactions: func(_ testing.TB, d *testDatabase) []any { return []any{d.Opened.Unwrap()} },
		IsTransactionTypeError: func(err error) bool {
			var typed *TransactionTypeError
			return errors.As(err, &typed)
		},
		TransactionType: "events2.Tx",
	}
	suite.Run(t)
}

// isolation is the name of the variable, which differs from version to version.
func isolation(t testing.TB, dsn string) string {
	t.Helper()
	if _, err := mysqltest.Pool(t, dsn).ExecContext(storetest.Context(t), "SELECT @@transaction_isolation"); err != nil {
		return "tx_isolation"
	}
	return "transaction_isolation"
}
