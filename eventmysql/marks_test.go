package eventmysql

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/mysqltest"
)

// A batch in which some marks are new, on connections that count found rows,
// too, and with more marks than one statement takes.
func TestSomeMarksAreNew(t *testing.T) {
	f := newFixture(t)
	found := rawPool(t, changed(t, f.DSN, func(c *mysql.Config) { c.ClientFoundRows = true }))
	for _, db := range []*DB{f.DB, Wrap(found)} {
		marks := make([]eventmodels.Mark, 3*mysqldb.MarkChunk/2)
		for i := range marks {
			marks[i] = markOf(fmt.Sprintf("%p %d", db, i))
		}
		err := db.TransactOnce(testContext(t), marks[mysqldb.MarkChunk/2:mysqldb.MarkChunk], func(*Tx, []bool) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		err = db.TransactOnce(testContext(t), marks, func(_ *Tx, fresh []bool) error {
			for i, fresh := range fresh {
				if want := i < mysqldb.MarkChunk/2 || i >= mysqldb.MarkChunk; fresh != want {
					t.Errorf("mark %d: new: %v", i, fresh)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A session that does not show all the marks that are new fails, instead of
// passing over events.
func TestMarksThatAreNotShown(t *testing.T) {
	f := newFixture(t)
	limited := Wrap(rawPool(t, changed(t, f.DSN, func(c *mysql.Config) { c.Params = map[string]string{"sql_select_limit": "1"} })))
	a, b, c := markOf("a"), markOf("b"), markOf("c")
	if err := limited.TransactOnce(testContext(t), []eventmodels.Mark{a}, func(*Tx, []bool) error { return nil }); err != nil {
		t.Fatal(err)
	}
	err := limited.TransactOnce(testContext(t), []eventmodels.Mark{a, b, c}, func(_ *Tx, fresh []bool) error {
		t.Errorf("new: %v", fresh)
		return nil
	})
	if n := f.Count(t, "events_marks"); err == nil || n != 1 {
		t.Errorf("%d marks, error: %v", n, err)
	}
}

// Several deliveries of one event wait for one that rolls back. The server
// calls all but one of them deadlocked, which costs them another try.
func TestTwinsOfADeliveryThatFails(t *testing.T) {
	const twins = 4
	f := newFixture(t)
	m := []eventmodels.Mark{markOf("m")}
	for range 5 {
		holder := f.BeginTx(t)
		if _, err := (dialect{}).InsertMarks(testContext(t), holder, m); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int32
		var working sync.WaitGroup
		for range twins {
			working.Go(func() {
				for {
					called := false
					err := f.TransactOnce(testContext(t), m, func(*Tx, []bool) error { called = true; calls.Add(1); return nil })
					if err == nil {
						return
					}
					if called || f.Fault(err) != eventmodels.FaultConflict {
						t.Errorf("called: %v; %v", called, err)
						return
					}
				}
			})
		}
		mysqltest.AwaitBlocked(t, f.Admin, "INSERT IGNORE INTO events_marks", twins)
		if err := holder.Rollback(); err != nil {
			t.Fatal(err)
		}
		working.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		mustExec(t, f.Admin, "DELETE FROM events_marks")
	}
}
