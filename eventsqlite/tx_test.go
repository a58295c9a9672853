package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed46dd6f11/events/eventmodels"
)

// The relay may run in the goroutine that has committed, which must have given
// the write lock back by then.
func TestWriteLockIsFreeAfterCommit(t *testing.T) {
	producer := &fakeProducer{}
	db := openAt(t, filepath.Join(t.TempDir(), "test.db"))
	db.AugmentWithProducer(producer)
	s := openTestStore(t, db)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	producer.after = func() {
		if _, held, err := s.AcquireLease(ctx, testScope, "me", "cluster", time.Minute); err != nil || !held {
			t.Errorf("held %v, %v", held, err)
		}
	}
	produce(t, db, event("a", "1"))
}

// A statement that fails has no effect; a handler that ignores that has a
// transaction that goes on, as SQLite has it.
func TestSwallowedConstraint(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	transact(t, db, func(tx *Tx) error {
		tx.Produce(event("a", "1"))
		for range 2 {
			_, _ = tx.Exec(`INSERT INTO t (id, v) VALUES (7, 1)`)
		}
		return nil
	})
	if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`); n != 1 || len(readAll(t, s, testScope)) != 1 {
		t.Errorf("%d rows", n)
	}
}

// SQLite ends a transaction by itself in some errors. What comes after must
// not take effect outside of it.
func TestSwallowedErrorThatRollsBack(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	ctx := context.Background()
	for name, fail := range map[string]struct {
		do    func(tx *Tx) error
		fault eventmodels.Fault
	}{
		"or rollback": {func(tx *Tx) error {
			_, err := tx.Exec(`INSERT OR ROLLBACK INTO t (id) VALUES (1), (1)`)
			return err
		}, eventmodels.FaultEvent},
		"returning": {func(tx *Tx) error {
			var id int
			return tx.QueryRow(`INSERT OR ROLLBACK INTO t (id) VALUES (1), (1) RETURNING id`).Scan(&id)
		}, eventmodels.FaultEvent},
		"full": {func(tx *Tx) error {
			_, err := tx.Exec(`PRAGMA max_page_count = 1; INSERT INTO t (v) VALUES (randomblob(1000000))`)
			return err
		}, eventmodels.FaultAway},
		"interrupted": {func(tx *Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // by then it runs
			defer cancel()
			_, err := tx.ExecContext(ctx, `INSERT INTO t (v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n`)
			return err
		}, eventmodels.FaultEvent},
	} {
		t.Run(name, func(t *testing.T) {
			err := db.Transact(ctx, func(tx *Tx) error {
				tx.Produce(event("a", "1"))
				if _, err := tx.Exec(`INSERT INTO t (v) VALUES ('before')`); err != nil {
					t.Error(err)
				}
				if err := fail.do(tx); err == nil {
					t.Error("no error")
				}
				if _, err := tx.Exec(`INSERT INTO t (v) VALUES ('after')`); err == nil {
					t.Error("a statement after the end of the transaction was run")
				}
				if rows, err := tx.Query(`SELECT 1`); err == nil {
					rows.Close()
					t.Error("a query after the end of the transaction was run")
				}
				return nil
			})
			if _, ok := errors.AsType[*rolledBackError](err); !ok || errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("%v", err)
			}
			if got := db.Fault(err); got != fail.fault {
				t.Errorf("fault %v of %v", got, err)
			}
			if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`) + len(readAll(t, s, testScope)); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			// the connections have no limit in the next transaction
			for range 2 * DefaultMaxConnections {
				_ = db.Transact(ctx, func(tx *Tx) error {
					_, err := tx.Exec(`PRAGMA max_page_count = 4294967294`)
					return err
				})
			}
			usable(t, db)
		})
	}
}

// What is not watched while it runs is noticed before the next statement, and
// before the events are stored.
func TestPreparedStatementThatRollsBack(t *testing.T) {
	const breaks = `INSERT OR ROLLBACK INTO t (id) VALUES (1), (1)`
	for name, test := range map[string]struct {
		after  func(tx *Tx) error // nil: nothing
		want   string
		ofPool bool // prepared for the database, and made one of the transaction
	}{
		"":     {want: eventmodels.ErrTransactionEnded.Error()},
		"exec": {after: func(tx *Tx) error { _, err := tx.Exec(`INSERT INTO t (v) VALUES ('after')`); return err }, want: errUnseen.Error()},
		"exec, of the pool": {
			after: func(tx *Tx) error { _, err := tx.Exec(`INSERT INTO t (v) VALUES ('after')`); return err },
			want:  errUnseen.Error(), ofPool: true,
		},
		"query": {after: func(tx *Tx) error {
			rows, err := tx.Query(`INSERT INTO t (v) VALUES ('after') RETURNING id`)
			if err == nil {
				rows.Close()
			}
			return err
		}, want: errUnseen.Error()},
		"query row": {after: func(tx *Tx) error {
			return tx.QueryRow(`INSERT INTO t (v) VALUES ('after') RETURNING id`).Err()
		}, want: errUnseen.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			db := openTest(t)
			s := openTestStore(t, db)
			prepared, err := db.Unwrap().Prepare(breaks)
			if err != nil {
				t.Fatal(err)
			}
			defer prepared.Close()
			err = db.Transact(context.Background(), func(tx *Tx) error {
				tx.Produce(event("a", "1"))
				var stmt *sql.Stmt
				if test.ofPool {
					stmt = tx.Stmt(prepared)
				} else if stmt, err = tx.Prepare(breaks); err != nil {
					t.Error(err)
					return nil
				}
				defer stmt.Close()
				_, _ = stmt.Exec()
				if test.after != nil && test.after(tx) == nil {
					t.Error("a statement after the end of the transaction was run")
				}
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
			if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`) + len(readAll(t, s, testScope)); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			usable(t, db)
		})
	}
}

func TestDeferredConstraintIsRefusedAtCommit(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	mustExec(t, db.Unwrap(), `CREATE TABLE child (t INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)`)
	marks := []eventmodels.Mark{markOf("m")}
	for range 2 {
		err := db.TransactOnce(context.Background(), marks, func(tx *Tx, _ []bool) error {
			tx.Produce(event("a", "1"))
			_, err := tx.Exec(`INSERT INTO child VALUES (99)`)
			return err
		})
		if code(err) != sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY || errors.Is(err, eventmodels.ErrCommitUnknown) || db.Fault(err) != eventmodels.FaultEvent {
			t.Errorf("%v", err)
		}
		usable(t, db)
	}
	n := value[int](t, db.Unwrap(), `SELECT count(*) FROM child`) + value[int](t, db.Unwrap(), `SELECT count(*) FROM events_marks`)
	if n += len(readAll(t, s, testScope)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestFullDatabase(t *testing.T) {
	db := openTest(t, WithMaxConnections(1))
	s := openTestStore(t, db)
	// At COMMIT, in the outbox insert, in the handler: all roll back.
	limit := `PRAGMA max_page_count = ` + value[string](t, db.Unwrap(), `SELECT cast(page_count + 8 AS TEXT) FROM pragma_page_count`)
	mustExec(t, db.Unwrap(), limit)
	for _, where := range []string{"handler", "outbox"} {
		err := db.Transact(context.Background(), func(tx *Tx) error {
			if where == "outbox" {
				tx.Produce(event("a", strings.Repeat("x", 1<<20)))
				return nil
			}
			tx.Produce(event("a", "1"))
			_, err := tx.Exec(`INSERT INTO t (v) VALUES (randomblob(1000000))`)
			return err
		})
		if primary(code(err)) != sqlite3.SQLITE_FULL || db.Fault(err) != eventmodels.FaultAway || errors.Is(err, eventmodels.ErrCommitUnknown) {
			t.Errorf("%s: %v", where, err)
		}
	}
	if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`) + len(readAll(t, s, testScope)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	mustExec(t, db.Unwrap(), `PRAGMA max_page_count = 4294967294`)
	produce(t, db, event("a", strings.Repeat("x", 1<<20)))
	usable(t, db)
}

func TestContextThatEndsInTheTransaction(t *testing.T) {
	db := openTest(t)
	ctx, cancel := context.WithCancel(context.Background())
	err := db.Transact(ctx, func(tx *Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO t (v) VALUES (1)`); err != nil {
			t.Error(err)
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, eventmodels.ErrCommitUnknown) || db.Fault(err) != eventmodels.FaultEvent {
		t.Error(err)
	}
	if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	usable(t, db)
}

// A transaction that nobody ends loses the lock with its context.
func TestAbandonedTransaction(t *testing.T) {
	db := openTest(t)
	ctx, cancel := context.WithCancel(context.Background())
	tx, err := db.Unwrap().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO t (v) VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	cancel()
	usable(t, db)
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		t.Error(err)
	}
}

func TestReadOnlyTransactionWaitsForNobody(t *testing.T) {
	db := openTest(t)
	ctx := context.Background()
	transact(t, db, func(tx *Tx) error {
		if _, err := tx.Exec(`INSERT INTO t (v) VALUES (1)`); err != nil {
			return err
		}
		reading, err := db.Unwrap().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer reading.Rollback()
		if n := value[int](t, reading, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("it sees %d rows of an open transaction", n)
		}
		if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("the pool sees %d rows of an open transaction", n)
		}
		return reading.Commit()
	})
}
