package eventsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed46dd6f11/events/eventmodels"
)

// realErrors makes SQLite fail in each way.
var realErrors = map[string]struct {
	code  int
	fault eventmodels.Fault
	make  func(t *testing.T, db *DB) error
}{
	"busy": {sqlite3.SQLITE_BUSY, eventmodels.FaultConflict, func(t *testing.T, db *DB) error {
		begin(t, db.Unwrap().DB)
		_, err := db.Unwrap().DB.Begin()
		return err
	}},
	"busy snapshot": {sqlite3.SQLITE_BUSY_SNAPSHOT, eventmodels.FaultConflict, func(t *testing.T, db *DB) error {
		tx, err := db.Unwrap().DB.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		value[int](t, tx, `SELECT count(*) FROM t`)
		mustExec(t, db.Unwrap(), `INSERT INTO t (v) VALUES (1)`)
		_, err = tx.Exec(`INSERT INTO t (v) VALUES (2)`)
		return err
	}},
	"locked": {sqlite3.SQLITE_LOCKED, eventmodels.FaultConflict, func(t *testing.T, db *DB) error {
		mustExec(t, db.Unwrap(), `INSERT INTO t (v) VALUES (1), (2)`)
		tx := begin(t, db.Unwrap().DB)
		rows, err := tx.Query(`SELECT * FROM t`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		rows.Next()
		_, err = tx.Exec(`DROP TABLE t`)
		return errors.Join(err, rows.Err())
	}},
	"cannot open": {sqlite3.SQLITE_CANTOPEN, eventmodels.FaultAway, func(t *testing.T, _ *DB) error {
		return openRaw(t, filepath.Join(t.TempDir(), "no", "x.db")).Ping()
	}},
	"read-only": {sqlite3.SQLITE_READONLY, eventmodels.FaultAway, func(t *testing.T, db *DB) error {
		path := value[string](t, db.Unwrap(), `SELECT file FROM pragma_database_list`)
		_, err := openRaw(t, "file:"+path+"?mode=ro").Exec(`INSERT INTO t (v) VALUES (1)`)
		return err
	}},
	"not a database": {sqlite3.SQLITE_NOTADB, eventmodels.FaultAway, func(t *testing.T, _ *DB) error {
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("x", 5000)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openRaw(t, path).Exec(`CREATE TABLE t (v)`)
		return err
	}},
	"corrupt": {sqlite3.SQLITE_CORRUPT, eventmodels.FaultAway, func(t *testing.T, _ *DB) error {
		path := filepath.Join(t.TempDir(), "x.db")
		raw, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, raw, `CREATE TABLE t (v); INSERT INTO t VALUES (1)`)
		if err := raw.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(content[len(content)/2:], strings.Repeat("x", len(content)))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var v int
		return openRaw(t, path).QueryRow(`SELECT v FROM t`).Scan(&v)
	}},
	"full": {sqlite3.SQLITE_FULL, eventmodels.FaultAway, func(t *testing.T, db *DB) error {
		tx := begin(t, db.Unwrap().DB)
		mustExec(t, tx, `PRAGMA max_page_count = 1`)
		_, err := tx.Exec(`INSERT INTO t (v) VALUES (randomblob(1000000))`)
		return err
	}},
	"primary key": {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, eventmodels.FaultEvent, func(t *testing.T, db *DB) error {
		_, err := db.Unwrap().Exec(`INSERT INTO t (id) VALUES (1), (1)`)
		return err
	}},
	"syntax": {sqlite3.SQLITE_ERROR, eventmodels.FaultEvent, func(t *testing.T, db *DB) error {
		_, err := db.Unwrap().Exec(`INSERT nonsense`)
		return err
	}},
	"mismatch": {sqlite3.SQLITE_MISMATCH, eventmodels.FaultEvent, func(t *testing.T, db *DB) error {
		_, err := db.Unwrap().Exec(`INSERT INTO t (id) VALUES ('x')`)
		return err
	}},
	"interrupted": {0, eventmodels.FaultEvent, func(t *testing.T, db *DB) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		var n int
		return db.Unwrap().QueryRowContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`).Scan(&n)
	}},
	"closed": {0, eventmodels.FaultAway, func(t *testing.T, _ *DB) error {
		db, err := Open(context.Background(), ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		return db.Transact(context.Background(), func(*Tx) error { return nil })
	}},
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func TestFaultOfRealErrors(t *testing.T) {
	for name, test := range realErrors {
		t.Run(name, func(t *testing.T) {
			db := openTest(t)
			err := test.make(t, db)
			if err == nil || code(err) != test.code {
				t.Fatalf("code %d, want %d: %v", code(err), test.code, err)
			}
			for _, err := range []error{err, fmt.Errorf("wrapped: %w", err), errors.Join(errTest, err)} {
				if name == "closed" && !ends(err, closedText) {
					continue
				}
				if got := db.Fault(err); got != test.fault {
					t.Errorf("fault %v, want %v, of %v", got, test.fault, err)
				}
			}
		})
	}
}

func TestFaultOfOtherErrors(t *testing.T) {
	db := openTest(t)
	for err, want := range map[error]eventmodels.Fault{
		nil:                                 eventmodels.FaultEvent,
		errTest:                             eventmodels.FaultEvent,
		context.Canceled:                    eventmodels.FaultEvent,
		context.DeadlineExceeded:            eventmodels.FaultEvent,
		sql.ErrNoRows:                       eventmodels.FaultEvent,
		sql.ErrTxDone:                       eventmodels.FaultEvent,
		sql.ErrConnDone:                     eventmodels.FaultAway,
		driver.ErrBadConn:                   eventmodels.FaultAway,
		&lockWaitError{time.Second}:         eventmodels.FaultAway,
		&rolledBackError{errTest}:           eventmodels.FaultEvent,
		&rolledBackError{driver.ErrBadConn}: eventmodels.FaultAway,
		eventmodels.ErrCommitUnknown:        eventmodels.FaultAway,
		eventmodels.ErrTransactionEnded:     eventmodels.FaultEvent,
	} {
		if got := db.Fault(err); got != want {
			t.Errorf("fault %v, want %v, of %v", got, want, err)
		}
	}
}
