package eventsqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

func TestManyMarks(t *testing.T) {
	db := openTest(t)
	marks := make([]eventmodels.Mark, 3*markChunk+7)
	for i := range marks {
		marks[i] = markOf(fmt.Sprintf("%016d", rand.Uint64N(1e15)))
	}
	for _, n := range []int{len(marks) / 2, len(marks)} {
		err := db.TransactOnce(context.Background(), marks[:n], func(_ *Tx, fresh []bool) error {
			for i, f := range fresh {
				if f != (n < len(marks) || i >= len(marks)/2) {
					t.Fatalf("mark %d: %v", i, f)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The same event twice at the same moment: one effect.
func TestTwinDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t)
		done := make(chan error)
		for range 5 {
			go func() {
				done <- db.TransactOnce(context.Background(), []eventmodels.Mark{markOf("e")}, func(tx *Tx, _ []bool) error {
					time.Sleep(time.Second)
					_, err := tx.Exec(`INSERT INTO t (v) VALUES (1)`)
					return err
				})
			}()
		}
		for range 5 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM t`); n != 1 {
			t.Errorf("%d effects", n)
		}
	})
}

// A delivery whose writer hangs gives its place back, at no cost for the event.
func TestMarkWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3 * time.Second
		db := openTest(t, WithMarkWait(limit))
		ctx := context.Background()
		hanging, release := make(chan struct{}), make(chan struct{})
		done := make(chan error)
		go func() {
			done <- db.Transact(ctx, func(*Tx) error {
				close(hanging)
				<-release
				return nil
			})
		}()
		<-hanging
		began := time.Now()
		err := db.TransactOnce(ctx, []eventmodels.Mark{markOf("e")}, func(*Tx, []bool) error { return nil })
		if got := time.Since(began); got != limit {
			t.Errorf("waited %v", got)
		}
		if db.Fault(err) != eventmodels.FaultAway {
			t.Errorf("%v: %v", db.Fault(err), err)
		}
		// the handler's own deadline is the handler's
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err = db.TransactOnce(short, []eventmodels.Mark{markOf("e")}, func(*Tx, []bool) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) || db.Fault(err) != eventmodels.FaultEvent {
			t.Errorf("%v: %v", db.Fault(err), err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		usable(t, db)
	})
}

func TestDeleteMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t)
		s := openTestStore(t, db)
		ctx := context.Background()
		const retention = 30 * 24 * time.Hour
		mark := func(name string) {
			t.Helper()
			if err := db.TransactOnce(ctx, []eventmodels.Mark{markOf(name)}, func(*Tx, []bool) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			mark(fmt.Sprint("old ", i))
		}
		time.Sleep(time.Hour)
		mark("new")
		time.Sleep(retention - time.Hour)
		remove := func(want int) {
			t.Helper()
			if n, err := s.DeleteMarks(ctx, retention, 2); err != nil || n != want {
				t.Errorf("%d deleted, want %d; %v", n, want, err)
			}
		}
		remove(0)
		time.Sleep(time.Microsecond)
		remove(2)
		remove(2)
		remove(1)
		remove(0)
		if k := value[string](t, db.Unwrap(), `SELECT hex(k) FROM events_marks`); k != fmt.Sprintf("%X", markOf("new")) {
			t.Error(k)
		}
	})
}
