package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

func TestProduceTx(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "test.db")
	own, err := sql.Open("sqlite", path+"?_txlock=immediate&_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := Migrate(ctx, own); err != nil {
		t.Fatal(err)
	}
	db := Wrap(own)
	if tx, err := own.Begin(); err != nil {
		t.Fatal(err)
	} else if err := db.ProduceTx(ctx, tx, event("a", "1")); !errors.Is(err, eventmodels.ErrNotConnected) {
		t.Error(err)
	} else if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	db.AugmentWithProducer(&fakeProducer{})
	s := openTestStore(t, db)
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := own.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.ProduceTx(ctx, tx, event("a", "1"), event("a", "2")); err != nil {
			t.Error(err)
		}
		if err := db.ProduceTx(ctx, struct{ *sql.Tx }{tx}, event("a", "3")); err != nil {
			t.Error(err)
		}
		if err := end(tx); err != nil {
			t.Error(err)
		}
	}
	if rows := readAll(t, s, testScope); len(rows) != 3 {
		t.Errorf("%d rows", len(rows))
	}
	for _, tx := range []any{nil, own, (*sql.Tx)(nil), "tx", db.Unwrap()} {
		err := db.ProduceTx(ctx, tx, event("a", "1"))
		if _, ok := errors.AsType[*TransactionTypeError](err); !ok {
			t.Errorf("%T: %v", tx, err)
		}
	}
}

// A *sql.DB of the service's own, whatever it begins transactions with, and a
// transaction type of the service's own.
func TestOwnDatabases(t *testing.T) {
	for name, parameters := range map[string]string{
		"deferred, no WAL": "", "immediate": "?_txlock=immediate&_journal_mode=WAL", "timeout": "?_busy_timeout=5000&_journal_mode=WAL",
	} {
		t.Run(name, func(t *testing.T) {
			own, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db")+parameters)
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			if err := Migrate(context.Background(), own); err != nil {
				t.Fatal(err)
			}
			mustExec(t, own, `CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)`)
			mustExec(t, own, `INSERT INTO t VALUES (1, 0)`)
			db := Wrap(own)
			db.AugmentWithProducer(&fakeProducer{})
			s := openTestStore(t, db)
			const workers, each = 8, 5
			increment(t, workers, each, func() error {
				return db.Transact(context.Background(), func(tx *Tx) error {
					tx.Produce(event("a", "1"))
					return addOne(tx)
				})
			})
			if n := value[int](t, own, `SELECT v FROM t`); n != workers*each || len(readAll(t, s, testScope)) != n {
				t.Errorf("%d transactions of %d", n, workers*each)
			}
			if name != "immediate" {
				return
			}
			simple := New[*sql.Tx](own)
			if simple.MaxConnections() != 0 {
				t.Error(simple.MaxConnections())
			}
			increment(t, workers, each, func() error {
				return simple.Transact(context.Background(), func(tx *sql.Tx) error { return addOne(tx) })
			})
			if n := value[int](t, own, `SELECT v FROM t`); n != 2*workers*each {
				t.Errorf("%d transactions of %d", n, 2*workers*each)
			}
		})
	}
}

// addOne reads and writes, which is wrong without the write lock.
func addOne(tx eventmodels.AbstractTX) error {
	var n int
	if err := tx.QueryRowContext(context.Background(), `SELECT v FROM t WHERE id = 1`).Scan(&n); err != nil {
		return err
	}
	_, err := tx.ExecContext(context.Background(), `UPDATE t SET v = ? WHERE id = 1`, n+1)
	return err
}

// increment calls fn in several goroutines.
func increment(t *testing.T, workers, each int, fn func() error) {
	t.Helper()
	errs := make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for range each {
				err = errors.Join(err, fn())
			}
			errs <- err
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
