package eventsqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// The whole of it in virtual time: writers wait for each other while time goes
// on, in the order in which they have come, the relay's store among them.
func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		db := openTest(t)
		s := openTestStore(t, db)
		produce(t, db, event("a", "0"))
		row := readAll(t, s, testScope)[0]

		began := time.Now()
		var (
			mu    sync.Mutex
			order []string // guarded by mu
		)
		note := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
		}
		done := make(chan error)
		start := func(fn func() error) {
			go func() { done <- fn() }()
			synctest.Wait() // it waits for its turn
		}
		write := func(name string) func() error {
			return func() error {
				return db.Transact(ctx, func(tx *Tx) error {
					note(name)
					tx.Produce(event("a", name))
					time.Sleep(time.Minute)
					return nil
				})
			}
		}
		start(write("first"))
		start(write("second"))
		start(func() error {
			err := s.DeleteOutbox(ctx, testScope, []eventmodels.OutboxKey{row.OutboxKey()})
			if got := time.Since(began); got != 2*time.Minute {
				t.Errorf("the relay has waited %v", got)
			}
			return err
		})
		start(write("third"))
		start(func() error {
			_, err := db.Unwrap().ExecContext(ctx, `INSERT INTO t (v) VALUES (1)`)
			if got := time.Since(began); got != 3*time.Minute {
				t.Errorf("the statement has waited %v", got)
			}
			return err
		})

		// reading waits for nobody
		reading := time.Now()
		if rows := readAll(t, s, testScope); len(rows) != 1 {
			t.Errorf("%d rows", len(rows))
		}
		if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("%d rows", n)
		}
		if got := time.Since(reading); got != 0 {
			t.Errorf("reading took %v", got)
		}
		for range 5 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if want := []string{"first", "second", "third"}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
		if got := time.Since(began); got != 3*time.Minute {
			t.Errorf("it took %v", got)
		}
	})
}

func TestContextEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t)
		s := openTestStore(t, db)
		free := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- db.Transact(context.Background(), func(*Tx) error { <-free; return nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		began := time.Now()
		waiters := map[string]func(context.Context) error{
			"transact": func(ctx context.Context) error { return db.Transact(ctx, func(*Tx) error { return nil }) },
			"exec": func(ctx context.Context) error {
				_, err := db.Unwrap().ExecContext(ctx, `DELETE FROM t`)
				return err
			},
			"lease": func(ctx context.Context) error {
				_, _, err := s.AcquireLease(ctx, testScope, "o", "c", time.Second)
				return err
			},
		}
		for name, wait := range waiters {
			go func() {
				err := wait(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
					t.Errorf("%s: %v after %v", name, err, time.Since(began))
				}
				done <- nil
			}()
		}
		for range waiters {
			<-done
		}
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
		usable(t, db)
	})
}

// A lock that is not taken in this process, as another process has it: the
// wait is in Go, too, and in virtual time.
func TestWaitForAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t)
		s := openTestStore(t, db)
		ctx := context.Background()
		foreign, err := db.Unwrap().DB.BeginTx(ctx, nil) // past the write lock
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		done := make(chan error)
		go func() {
			done <- db.Transact(ctx, func(tx *Tx) error {
				_, err := tx.Exec(`INSERT INTO t (v) VALUES (1)`)
				return err
			})
		}()
		go func() {
			_, _, err := s.AcquireLease(ctx, testScope, "o", "c", time.Minute)
			done <- err
		}()
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := db.Transact(limited, func(*Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if err := foreign.Commit(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := time.Since(began); got < 2*time.Minute || got > 2*time.Minute+time.Second {
			t.Errorf("it took %v", got)
		}
	})
}

// Several connections to one file have one order of writers.
func TestOneLockPerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	a, b := openAt(t, path), openAt(t, path)
	other := openTest(t)
	ctx := context.Background()
	lock := func(db *DB) *writeLock {
		f, err := db.Unwrap().locate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return f.lock
	}
	if lock(a) != lock(b) || lock(a) == lock(other) {
		t.Error("the files' locks")
	}
}

func TestLocksAreForgotten(t *testing.T) {
	for range 3 {
		if writeLockOf("forgotten") == nil {
			t.Fatal("no lock")
		}
		known := func() bool {
			writeLocks.mu.Lock()
			defer writeLocks.mu.Unlock()
			_, ok := writeLocks.byPath["forgotten"]
			return ok
		}
		for i := 0; known(); i++ {
			if i > 1000 {
				t.Fatal("an unused lock is kept")
			}
			runtime.GC()
			runtime.Gosched()
		}
	}
}

// A service's transactions, migrations and relays in one bubble.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(context.Background(), ":memory:", WithMigrate())
		if err != nil {
			t.Fatal(err)
		}
		db.AugmentWithProducer(&fakeProducer{})
		mustExec(t, db.Unwrap(), `CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)`)
		mustExec(t, db.Unwrap(), `INSERT INTO t VALUES (1, 0)`)
		s, err := db.OpenOutbox(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		increment(t, 10, 6, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			return db.Transact(ctx, func(tx *Tx) error {
				tx.Produce(event("a", "1"))
				time.Sleep(time.Second)
				return addOne(tx)
			})
		})
		if got := time.Since(began); got != time.Minute {
			t.Errorf("it took %v", got)
		}
		if n := len(readAll(t, s, testScope)); n != 60 {
			t.Errorf("%d rows", n)
		}
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
}
