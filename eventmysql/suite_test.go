package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/mysqltest"
	"github.com/seed46dd6f11/events/internal/storetest"
)

func TestStore(t *testing.T) { suite.Run(t) }

// suite is made by init, since its functions use it.
var suite *backend

func init() {
	suite = &backend{
		Name: "eventmysql", DialectOf: func(*DB) eventdb.Dialect { return dialect{} }, Proof: eventmodels.ProofClock,
		Open: Open, Wrap: Wrap, WithMigrate: WithMigrate, WithKeyLocks: WithKeyLocks, WithMarkWait: WithMarkWait,
		WithMaxConnections: WithMaxConnections, DefaultMaxConnections: DefaultMaxConnections,
		Migrate: Migrate, CheckSchema: CheckSchema, Schema: Schema, ErrSchema: ErrSchema,
		New: storetest.Constructors[eventmodels.BinaryEventID]{
			SQL: func(pool *sql.DB) storetest.DB[eventmodels.BinaryEventID, *sql.Tx] { return New[*sql.Tx](pool) },
			Example: func(db eventdb.ExampleBasicDB) storetest.DB[eventmodels.BinaryEventID, *eventdb.ExampleBasicTX] {
				return New[*eventdb.ExampleBasicTX](db)
			},
			Bare: func(db storetest.BareDB) storetest.DB[eventmodels.BinaryEventID, *sql.Tx] { return New[*sql.Tx](db) },
			Kept: mysqldb.KeptConnections,
		},
		PoolOf: func(db *DB) *sql.DB { return db.Unwrap().DB },
		Begin:  func(ctx context.Context, db *DB) (*Tx, error) { return db.Unwrap().BeginTx(ctx, nil) },
	}
	suite.Server = mysqltest.Server[*Tx, *DB, Option](serverDSN, "SELECT bucket")
	suite.Store = storetest.Store[eventmodels.BinaryEventID, *Tx, *DB, Option]{
		Work: func(ctx context.Context, s eventmodels.OutboxStore, f func(context.Context) error) error {
			return s.(*store).connections.Work(ctx, func(ctx context.Context, _ *sql.Conn) error { return f(ctx) })
		},
		WorkConnections: mysqldb.StoreConnections - 1,
		Cut:             func(t testing.TB, d *database, _ eventmodels.OutboxStore) { mysqltest.KillAll(t, d.Admin) },
		LostCalls:       mysqldb.StoreConnections - 1,
		ErrClosed:       mysqldb.ErrClosed,
		InsertBytes:     mysqldb.InsertBytes,
		Ways: func(t testing.TB, d *database) map[string]storetest.Way {
			return mysqltest.Ways(t, d.Dialect, d.DSN, func(pool *sql.DB) eventmodels.OutboxStore { return storetest.OpenStore(t, Wrap(pool)) })
		},
	}
	suite.Transactions = storetest.Transactions[eventmodels.BinaryEventID, *Tx, *DB, Option]{
		Failures: failures,
		Prepare: func(t testing.TB, d *database) {
			mustExec(t, d.Admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
			mustExec(t, d.Admin, "CREATE TABLE numbers SELECT bucket AS id FROM events_key_locks")
			mustExec(t, d.Admin, "CREATE TABLE busy SELECT 1 AS n")
			mustExec(t, d.BeginAdmin(t), "UPDATE busy SET n = n + 1")
		},
		Commits: map[string]func(*Tx) error{
			"COMMIT AND CHAIN": func(tx *Tx) error { _, err := tx.Exec("COMMIT AND CHAIN"); return err },
			"CREATE TABLE":     func(tx *Tx) error { _, err := tx.Exec("CREATE TABLE t (i integer)"); return err },
		},
		SlowCommit:     transactSlowly,
		MarksDeadlock:  true,
		NoTransactions: func(_ testing.TB, d *database) []any { return []any{d.Opened.Unwrap()} },
		IsTransactionTypeError: func(err error) bool {
			var typed *TransactionTypeError
			return errors.As(err, &typed)
		},
		TransactionType: "eventmysql.Tx",
	}
}
