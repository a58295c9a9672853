package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

type testDatabase = storetest.Database[eventmodels.StringEventID, *Tx, *DB, Option]

// A database is a file: there is no server that could be away, or end a
// connection.
func TestStore(t *testing.T) {
	suite := &storetest.Backend[eventmodels.StringEventID, *Tx, *DB, Option]{
		Name: "eventsqlite", Proof: eventmodels.ProofSerial,
		DialectOf: func(*DB) eventdb.Dialect { return &dialect{} },
		LeaveOut: []string{
			// They have transactions that write at the same time.
			"Marks/ThatAreBusy", "Marks/Delete", "Outbox/Delete", "Outbox/ReadingKeepsCommitOrder",
			"Transact/ProduceTx", "Transact/KeyLocks",
			// Slow under the race detector; the Library's tests have as many events.
			"Transact/OfManyEvents",
			// They are about connections and waits of a server.
			"Open/SaysWhatIsWrong", "Open/OwnTypes", "Lease/WaitsForNoOtherWork",
			"Outbox/StoreReconnects", "Outbox/StoreClose", "Outbox/CallsOfTheStoreEndWithTheirContext",
			"Transact/WhoseContextEnds", "Transact/CommitWhoseConnectionIsLost", "Transact/CommitOutlivesItsContext",
		},
		Open: Open, Wrap: Wrap, WithMigrate: WithMigrate, WithMarkWait: WithMarkWait,
		WithKeyLocks:       func() Option { return func(*options) {} }, // there are none
		WithMaxConnections: WithMaxConnections, DefaultMaxConnections: DefaultMaxConnections,
		Migrate: Migrate, CheckSchema: CheckSchema, Schema: Schema, ErrSchema: ErrSchema,
		PoolOf: func(db *DB) *sql.DB { return db.Unwrap().DB },
		Begin:  func(ctx context.Context, db *DB) (*Tx, error) { return db.Unwrap().BeginTx(ctx, nil) },
	}
	suite.Server = storetest.Server[eventmodels.StringEventID, *Tx, *DB, Option]{
		Empty: func(t testing.TB) (dsn string) { return filepath.Join(t.TempDir(), "test.db") },
		Pool: func(t testing.TB, dsn string) *sql.DB {
			return openRaw(t, dsn+"?_txlock=immediate&_journal_mode=WAL&_busy_timeout=20000")
		},
		ReadOnly:  func(t testing.TB, dsn string) *sql.DB { return openRaw(t, "file:"+dsn+"?mode=ro") },
		Ago:       func(d time.Duration) string { return strconv.FormatInt(micros(time.Now().Add(-d)), 10) },
		Isolation: "SELECT 'read committed'", // more than that, and nothing to be asked for
	}
	suite.Store = storetest.Store[eventmodels.StringEventID, *Tx, *DB, Option]{
		InsertBytes: 1 << 20, // there is no limit
		Ways: func(_ testing.TB, d *testDatabase) map[string]storetest.Way {
			return map[string]storetest.Way{
				"eventsqlite.Tx": {Insert: func(t testing.TB, rows []eventmodels.OutboxRow) {
					t.Helper()
					tx := d.BeginTx(t)
					storetest.LockAndInsert(t, d.Dialect, tx, rows)
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
				}},
				"sql.Tx": {Insert: storetest.WayOf(d.Dialect, d.Pool)},
			}
		},
	}
	suite.Transactions = storetest.Transactions[eventmodels.StringEventID, *Tx, *DB, Option]{
		Prepare: func(t testing.TB, d *testDatabase) {
			mustExec(t, d.Admin, "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
		},
		Failures: failures,
		Commits: map[string]func(*Tx) error{
			"Commit of the *sql.Tx": func(tx *Tx) error { return tx.Tx.Commit() },
		},
	}
	suite.Run(t)
}

// failures are the transactions of the suite that only SQLite does not commit.
var failures = map[string]storetest.Failure[*Tx]{
	"raw ROLLBACK of the *sql.Tx": {
		Do: func(tx *Tx) error {
			tx.Produce(storetest.Event("a", "k", nil))
			_, err := tx.Tx.Exec("ROLLBACK")
			return err
		},
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
	"a query that is left open, and Rollback": {
		Do: func(tx *Tx) error {
			tx.Produce(storetest.Event("a", "k", nil))
			_ = tx.QueryRow("SELECT 1")
			return tx.Rollback()
		},
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
	"Rollback, and a statement": {
		Do: func(tx *Tx) error {
			tx.Produce(storetest.Event("a", "k", nil))
			_ = tx.Rollback()
			if _, err := tx.Exec("INSERT INTO orders VALUES (1)"); !errors.Is(err, sql.ErrTxDone) {
				return fmt.Errorf("a statement after the end: %v", err)
			}
			return nil
		},
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
}
