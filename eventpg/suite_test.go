package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

func TestStore(t *testing.T) { suite.Run(t) }

// suite is made by init, since its functions use it.
var suite *backend

func init() {
	suite = &backend{
		Name: "eventpg", DialectOf: func(*DB) eventdb.Dialect { return dialect{} }, Proof: eventmodels.ProofXID,
		Open: Open, Wrap: Wrap, WithMigrate: WithMigrate, WithKeyLocks: WithKeyLocks, WithMarkWait: WithMarkWait,
		WithMaxConnections: WithMaxConnections, DefaultMaxConnections: DefaultMaxConnections,
		Migrate: Migrate, CheckSchema: CheckSchema, Schema: Schema, ErrSchema: ErrSchema,
		New: storetest.Constructors[eventmodels.StringEventID]{
			SQL: func(pool *sql.DB) storetest.DB[eventmodels.StringEventID, *sql.Tx] { return New[*sql.Tx](pool) },
			Example: func(db eventdb.ExampleBasicDB) storetest.DB[eventmodels.StringEventID, *eventdb.ExampleBasicTX] {
				return New[*eventdb.ExampleBasicTX](db)
			},
			Bare: func(db storetest.BareDB) storetest.DB[eventmodels.StringEventID, *sql.Tx] { return New[*sql.Tx](db) },
		},
		PoolOf: func(db *DB) *sql.DB { return db.Unwrap().DB },
		Begin:  func(ctx context.Context, db *DB) (*Tx, error) { return db.Unwrap().BeginTx(ctx, nil) },
	}
	suite.Server = storetest.Server[eventmodels.StringEventID, *Tx, *DB, Option]{
		Empty: emptySchema,
		Pool:  rawPool,
		ReadOnly: func(t testing.TB, dsn string) *sql.DB {
			return rawPool(t, withParams(dsn, "default_transaction_read_only=on"))
		},
		WrongDSNs: wrongDSNs,
		Secrets:   secrets,
		Ago: func(d time.Duration) string {
			return fmt.Sprintf("clock_timestamp() - interval '%d microseconds'", d.Microseconds())
		},
		Isolation:    "SHOW transaction_isolation",
		ConnectionID: "SELECT pg_backend_pid()",
		Kill:         func(id int64) string { return fmt.Sprintf("SELECT pg_terminate_backend(%d)", id) },
		Sleep:        func(d time.Duration) string { return fmt.Sprintf("SELECT pg_sleep(%f)", d.Seconds()) },
		AwaitBlocked: awaitBlocked,
	}
	suite.Store = storetest.Store[eventmodels.StringEventID, *Tx, *DB, Option]{
		Work: func(ctx context.Context, s eventmodels.OutboxStore, f func(context.Context) error) error {
			return s.(*store).do(ctx, func(ctx context.Context, _ *pgx.Conn) error { return f(ctx) })
		},
		WorkConnections: workConnections,
		Cut:             terminate,
		LostCalls:       1, // unless the pool has noticed by itself
		ErrClosed:       errClosed,
		InsertBytes:     maxInsertBytes,
		Ways:            waysIn,
		PassesLocked:    true,
	}
	suite.Transactions = storetest.Transactions[eventmodels.StringEventID, *Tx, *DB, Option]{
		Failures: failures,
		Prepare: func(t testing.TB, d *database) {
			mustExec(t, d.Admin, "CREATE TABLE orders (id integer PRIMARY KEY, parent integer REFERENCES orders DEFERRABLE INITIALLY DEFERRED)")
		},
		Commits: map[string]func(*Tx) error{
			"COMMIT on the native connection": func(tx *Tx) error { _, err := tx.Native().Exec(context.Background(), "COMMIT"); return err },
		},
		SlowCommit:     transactSlowly,
		NoTransactions: noTransactions,
		IsTransactionTypeError: func(err error) bool {
			var typed *TransactionTypeError
			return errors.As(err, &typed)
		},
		TransactionType: "pgx.Tx",
	}
}

// awaitBlocked looks at those who have touched the table: others use the same
// server.
func awaitBlocked(t testing.TB, d *database, on storetest.Lock, n int) {
	t.Helper()
	if on == storetest.OnKey {
		eventually(t, d.Admin, "SELECT count(*) = $1 FROM pg_locks WHERE locktype = 'advisory' AND classid = $2 AND objsubid = 2 AND NOT granted",
			n, uint32(KeyLockClass(scope)))
		return
	}
	table := map[storetest.Lock]string{storetest.OnMark: "events_marks", storetest.OnLease: "events_lease"}[on]
	eventually(t, d.Admin, `SELECT count(DISTINCT waits.pid) = $1 FROM pg_locks AS waits JOIN pg_locks AS has USING (pid)
		WHERE NOT waits.granted AND has.relation = $2::regclass`, n, table)
}

// terminate ends the server process that a store's call uses, and returns
// once it has ended.
func terminate(t testing.TB, d *database, opened eventmodels.OutboxStore) {
	t.Helper()
	s := opened.(*store)
	for range workConnections + leaseConnections {
		var pid int
		err := s.doLease(testContext(t), func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid)
		})
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, d.Admin, "SELECT pg_terminate_backend($1, 10000)", pid)
		if s.pool.Stat().TotalConns() == 1 {
			return
		}
		_, _ = s.LookLease(testContext(t), scope) // the pool notices
	}
}
