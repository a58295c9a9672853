package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// MarkOf makes a mark of a text.
func MarkOf(id string) eventmodels.Mark {
	sum := sha256.Sum256([]byte(id))
	return eventmodels.Mark(sum[:16])
}

func (b *Backend[ID, T, D, O]) transactOnce(t *testing.T) {
	d := b.NewDatabase(t)
	MustExec(t, d.Admin, "CREATE TABLE effects (id integer)")
	once := func(want []bool, result error, marks ...eventmodels.Mark) error {
		t.Helper()
		called := false
		err := d.Opened.TransactOnce(Context(t), marks, func(tx T, fresh []bool) error {
			called = true
			if !slices.Equal(fresh, want) {
				t.Errorf("fresh: %v, want %v", fresh, want)
			}
			var level string
			if err := tx.QueryRowContext(Context(t), b.Isolation).Scan(&level); err != nil || !strings.EqualFold(level, "read committed") {
				t.Errorf("isolation: %s, %v", level, err)
			}
			MustExec(t, tx, "INSERT INTO effects VALUES (1)")
			tx.Produce(Event("a", "k", nil))
			return result
		})
		if called != (want != nil) {
			t.Errorf("called: %v", called)
		}
		return err
	}
	x, y, z := MarkOf("x"), MarkOf("y"), MarkOf("z")
	if err := once([]bool{true, true, false}, ErrTest, x, y, x); !errors.Is(err, ErrTest) {
		t.Errorf("error: %v", err)
	}
	if n := d.Count(t, "effects") + d.Count(t, "events_marks") + d.Count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows of a transaction that was rolled back", n)
	}
	if err := once([]bool{true, true, false}, nil, x, y, x); err != nil {
		t.Error(err)
	}
	if err := once([]bool{false, true, false}, nil, y, z, x); err != nil {
		t.Error(err)
	}
	if err := once(nil, nil, z, x); err != nil {
		t.Error(err)
	}
	if m, n, o := d.Count(t, "events_marks"), d.Count(t, "effects"), d.Count(t, "events_outbox"); m != 3 || n != 2 || o != 2 {
		t.Errorf("%d marks, %d effects, %d events", m, n, o)
	}
}

// Marks are bytes: no collation, padding or length merges two.
func (b *Backend[ID, T, D, O]) marksAreBytes(t *testing.T) {
	d := b.NewDatabase(t)
	marks := []eventmodels.Mark{
		{}, {15: 1}, {0: 1}, {0: ' '}, {0: 'a'}, {0: 'A'}, {0: 'a', 1: ' '}, {0: 0xc3, 1: 0xa4}, {0: 'a', 1: 0xcc, 2: 0x88}, {0: 0xff, 15: 0xff},
		MarkOf("id"), MarkOf("ID"), MarkOf("id "), MarkOf(fmt.Sprintf("%300s", "1")), MarkOf(fmt.Sprintf("%300s", "2")),
	}
	for _, m := range marks {
		called := false
		if err := d.Opened.TransactOnce(Context(t), []eventmodels.Mark{m}, func(T, []bool) error { called = true; return nil }); err != nil || !called {
			t.Errorf("%x: called %v, %v", m, called, err)
		}
	}
}

// Batches that overlap, in every order, from many sides at once, some of them
// rolled back: a deadlock, if there is one, is a conflict and comes before the
// handler, and each mark has one effect.
func (b *Backend[ID, T, D, O]) marksOfOverlappingBatches(t *testing.T) {
	const (
		workers = 16
		events  = 300
		batch   = 30
	)
	d := b.NewDatabase(t)
	MustExec(t, d.Admin, "CREATE TABLE effects (id integer)")
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
					marks[i] = MarkOf(fmt.Sprint(id))
				}
				fails := random.IntN(3) == 0
				called := false
				err := d.Opened.TransactOnce(Context(t), marks, func(tx T, fresh []bool) error {
					called = true
					for i, id := range ids {
						if fresh[i] {
							MustExec(t, tx, fmt.Sprintf("INSERT INTO effects VALUES (%d)", id))
						}
					}
					if fails {
						return ErrTest
					}
					return nil
				})
				if b.deadlocked(d, called, err) {
					continue
				}
				if err != nil && !errors.Is(err, ErrTest) {
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
	if err := d.Admin.QueryRowContext(Context(t), "SELECT count(*), count(DISTINCT id) FROM effects").Scan(&n, &distinct); err != nil {
		t.Fatal(err)
	}
	if n != events || distinct != events {
		t.Errorf("%d effects of %d events, %d expected", n, distinct, events)
	}
}

// deadlocked says that a delivery is tried again for a deadlock that the
// backend can have.
func (b *Backend[ID, T, D, O]) deadlocked(d *Database[ID, T, D, O], called bool, err error) bool {
	return b.MarksDeadlock && err != nil && !called && d.Opened.Fault(err) == eventmodels.FaultConflict
}

// The wait for another delivery of the same event is bounded, and ends with
// the other's end.
func (b *Backend[ID, T, D, O]) marksThatAreBusy(t *testing.T) {
	d := b.NewDatabase(t, b.WithMarkWait(50*time.Millisecond))
	patient := b.wrap(t, d.Pool)
	for _, commits := range []bool{true, false} {
		m := MarkOf(fmt.Sprint(commits))
		holder := d.BeginTx(t)
		if _, err := d.Dialect.InsertMarks(Context(t), holder, []eventmodels.Mark{m}); err != nil {
			t.Fatal(err)
		}
		err := d.Opened.TransactOnce(Context(t), []eventmodels.Mark{m}, func(T, []bool) error { t.Error("called"); return nil })
		if err == nil || d.Opened.Fault(err) != eventmodels.FaultConflict {
			t.Errorf("a mark that is busy: %v, fault %v", err, d.Opened.Fault(err))
		}

		called := false
		result := make(chan error, 1)
		go func() {
			for {
				err := patient.TransactOnce(Context(t), []eventmodels.Mark{m}, func(T, []bool) error { called = true; return nil })
				if !b.deadlocked(d, called, err) { // as it can be with the one that has given up
					result <- err
					return
				}
			}
		}()
		b.AwaitBlocked(t, d, OnMark, 1+b.Abandoned)
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

// Old marks go in steps, the oldest first. Nobody's open transaction is waited
// for.
func (b *Backend[ID, T, D, O]) deleteMarks(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	const half = 30 * time.Second
	old := func(minutes int) string {
		return "events_marks WHERE done_at < " + b.Ago(time.Duration(minutes)*time.Minute+half)
	}
	for minutes := 99; minutes >= 0; minutes-- {
		err := d.Opened.TransactOnce(Context(t), []eventmodels.Mark{MarkOf(fmt.Sprint(minutes))}, func(T, []bool) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if minutes > 0 { // the others are older by now
			MustExec(t, d.Admin, "UPDATE events_marks SET done_at = "+b.Ago(time.Duration(minutes)*time.Minute)+" WHERE done_at > "+b.Ago(half))
		}
	}
	deleteSome := func(limit, want int) {
		t.Helper()
		if n, err := s.DeleteMarks(Context(t), 39*time.Minute+half, limit); err != nil || n != want {
			t.Fatalf("deleted %d, want %d, %v", n, want, err)
		}
	}
	deleteSome(25, 25)
	if n := d.Count(t, old(74)); n != 0 {
		t.Errorf("%d of the oldest are left", n)
	}
	open := d.BeginTx(t)
	if _, err := d.Dialect.InsertMarks(Context(t), open, []eventmodels.Mark{MarkOf("new")}); err != nil {
		t.Fatal(err)
	}
	if b.PassesLocked { // what another process deletes at the moment is left to it
		other := d.BeginAdmin(t)
		MustExec(t, other, "DELETE FROM "+old(64))
		deleteSome(20, 20)
		if err := other.Commit(); err != nil {
			t.Fatal(err)
		}
	} else {
		deleteSome(30, 30)
	}
	deleteSome(100, 5)
	deleteSome(100, 0)
	if n := d.Count(t, "events_marks"); n != 40 {
		t.Errorf("%d marks are left", n)
	}
}
