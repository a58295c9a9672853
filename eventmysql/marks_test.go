package eventmysql

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

func markOf(id string) eventmodels.Mark {
	sum := sha256.Sum256([]byte(id))
	return eventmodels.Mark(sum[:16])
}

func TestTransactOnce(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE effects (id integer)")
	once := func(want []bool, result error, marks ...eventmodels.Mark) error {
		t.Helper()
		called := false
		err := f.TransactOnce(testContext(t), marks, func(tx *Tx, fresh []bool) error {
			called = true
			if !slices.Equal(fresh, want) {
				t.Errorf("fresh: %v, want %v", fresh, want)
			}
			var level string
			if err := tx.QueryRowContext(testContext(t), "SELECT trx_isolation_level FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()").Scan(&level); err != nil || level != "READ COMMITTED" {
				t.Errorf("isolation: %s, %v", level, err)
			}
			mustExec(t, tx, "INSERT INTO effects VALUES (1)")
			tx.Produce(event{"a", "k", nil})
			return result
		})
		if called != (want != nil) {
			t.Errorf("called: %v", called)
		}
		return err
	}
	a, b, c := markOf("a"), markOf("b"), markOf("c")
	if err := once([]bool{true, true, false}, errTest, a, b, a); !errors.Is(err, errTest) {
		t.Errorf("error: %v", err)
	}
	if n := f.count(t, "effects") + f.count(t, "events_marks") + f.count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows of a transaction that was rolled back", n)
	}
	if err := once([]bool{true, true, false}, nil, a, b, a); err != nil {
		t.Error(err)
	}
	if err := once([]bool{false, true, false}, nil, b, c, a); err != nil {
		t.Error(err)
	}
	if err := once(nil, nil, c, a); err != nil {
		t.Error(err)
	}
	if m, n, o := f.count(t, "events_marks"), f.count(t, "effects"), f.count(t, "events_outbox"); m != 3 || n != 2 || o != 2 {
		t.Errorf("%d marks, %d effects, %d events", m, n, o)
	}
}

// Marks are bytes: no collation, padding or length merges two.
func TestMarksAreBytes(t *testing.T) {
	f := newFixture(t)
	marks := []eventmodels.Mark{
		{}, {15: 1}, {0: 1}, {0: ' '}, {0: 'a'}, {0: 'A'}, {0: 'a', 1: ' '}, {0: 0xc3, 1: 0xa4}, {0: 'a', 1: 0xcc, 2: 0x88}, {0: 0xff, 15: 0xff},
		markOf("id"), markOf("ID"), markOf("id "), markOf(fmt.Sprintf("%300s", "1")), markOf(fmt.Sprintf("%300s", "2")),
	}
	for _, m := range marks {
		called := false
		if err := f.TransactOnce(testContext(t), []eventmodels.Mark{m}, func(*Tx, []bool) error { called = true; return nil }); err != nil || !called {
			t.Errorf("%x: called %v, %v", m, called, err)
		}
	}
}

// Batches that overlap, in every order, from many sides at once, some of them
// rolled back: a deadlock is a conflict and comes before the handler, and each
// mark has one effect.
func TestMarksOfOverlappingBatches(t *testing.T) {
	const (
		workers = 16
		events  = 300
		batch   = 30
	)
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE effects (id integer)")
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 2))
			for start := 0; start < events; {
				ids := make([]int, 0, batch)
				for i := start; i < start+batch; i++ {
					ids = append(ids, i%events)
				}
				random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				marks := make([]eventmodels.Mark, len(ids))
				for i, id := range ids {
					marks[i] = markOf(fmt.Sprint(id))
				}
				fails := random.IntN(3) == 0
				called := false
				err := f.TransactOnce(testContext(t), marks, func(tx *Tx, fresh []bool) error {
					called = true
					for i, id := range ids {
						if fresh[i] {
							mustExec(t, tx, "INSERT INTO effects VALUES (?)", id)
						}
					}
					if fails {
						return errTest
					}
					return nil
				})
				if err != nil && !called && f.Fault(err) == eventmodels.FaultConflict {
					continue
				}
				if err != nil && !errors.Is(err, errTest) {
					t.Error(err)
					return
				}
				if err == nil {
					start += 1 + random.IntN(batch-1) // overlaps with its neighbour
				}
			}
		})
	}
	working.Wait()
	var n, distinct int
	if err := f.admin.QueryRowContext(testContext(t), "SELECT count(*), count(DISTINCT id) FROM effects").Scan(&n, &distinct); err != nil {
		t.Fatal(err)
	}
	if n != events || distinct != events {
		t.Errorf("%d effects of %d events, %d expected", n, distinct, events)
	}
}

// The wait for another delivery of the same event is bounded, and ends with
// the other's end.
func TestMarkThatIsBusy(t *testing.T) {
	f := newFixture(t, WithMarkWait(50*time.Millisecond))
	patient := Wrap(f.pool)
	for _, commits := range []bool{true, false} {
		m := markOf(fmt.Sprint(commits))
		holder := f.begin(t)
		if _, err := (dialect{}).InsertMarks(testContext(t), holder, []eventmodels.Mark{m}); err != nil {
			t.Fatal(err)
		}
		err := f.TransactOnce(testContext(t), []eventmodels.Mark{m}, func(*Tx, []bool) error { t.Error("called"); return nil })
		if err == nil || f.Fault(err) != eventmodels.FaultConflict {
			t.Errorf("a mark that is busy: %v, fault %v", err, f.Fault(err))
		}

		called := false
		result := make(chan error, 1)
		go func() {
			for {
				err := patient.TransactOnce(testContext(t), []eventmodels.Mark{m}, func(*Tx, []bool) error { called = true; return nil })
				if called || f.Fault(err) != eventmodels.FaultConflict { // the server may call it deadlocked with the one that has given up
					result <- err
					return
				}
			}
		}()
		f.awaitBlocked(t, "INSERT IGNORE INTO events_marks", 2) // the one that has given up, too
		end := holder.Rollback
		if commits {
			end = holder.Commit
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil || called == commits {
			t.Errorf("the other commits: %v; called: %v, %v", commits, called, err)
		}
	}
}

func TestDeleteMarks(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	const minute = 60_000_000
	for i := range 100 {
		m := markOf(fmt.Sprint(i))
		mustExec(t, f.admin, "INSERT INTO events_marks (k, token, done_at) VALUES (?, 0, "+now+" - ?)", m[:], i*minute)
	}
	deleteSome := func(limit, want int) {
		t.Helper()
		if n, err := s.DeleteMarks(testContext(t), 39*time.Minute+30*time.Second, limit); err != nil || n != want {
			t.Fatalf("deleted %d, want %d, %v", n, want, err)
		}
	}
	deleteSome(25, 25)
	if n := f.count(t, fmt.Sprint("events_marks WHERE done_at < ", now, " - 74.5 * ", minute)); n != 0 {
		t.Errorf("%d of the oldest are left", n)
	}
	// New marks, of a transaction that is open, are not waited for.
	open := f.begin(t)
	if _, err := (dialect{}).InsertMarks(testContext(t), open, []eventmodels.Mark{markOf("new")}); err != nil {
		t.Fatal(err)
	}
	deleteSome(30, 30)
	deleteSome(100, 5)
	deleteSome(100, 0)
	if n := f.count(t, "events_marks"); n != 40 {
		t.Errorf("%d marks are left", n)
	}
}

// A batch in which some marks are new, on connections that count found rows,
// too, and with more marks than one statement takes.
func TestSomeMarksAreNew(t *testing.T) {
	f := newFixture(t)
	found := rawPool(t, changed(t, f.dsn, func(c *mysql.Config) { c.ClientFoundRows = true }))
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
	limited := Wrap(rawPool(t, changed(t, f.dsn, func(c *mysql.Config) { c.Params = map[string]string{"sql_select_limit": "1"} })))
	a, b, c := markOf("a"), markOf("b"), markOf("c")
	if err := limited.TransactOnce(testContext(t), []eventmodels.Mark{a}, func(*Tx, []bool) error { return nil }); err != nil {
		t.Fatal(err)
	}
	err := limited.TransactOnce(testContext(t), []eventmodels.Mark{a, b, c}, func(_ *Tx, fresh []bool) error {
		t.Errorf("new: %v", fresh)
		return nil
	})
	if n := f.count(t, "events_marks"); err == nil || n != 1 {
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
		holder := f.begin(t)
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
		f.awaitBlocked(t, "INSERT IGNORE INTO events_marks", twins)
		if err := holder.Rollback(); err != nil {
			t.Fatal(err)
		}
		working.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		mustExec(t, f.admin, "DELETE FROM events_marks")
	}
}
