package events2

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// Several processes draw at once: no number twice, and whoever begins after
// another one has ended gets the greater ones. Draws that are given up leave
// gaps and disturb nobody.
func TestSequence(t *testing.T) {
	const processes, workers, each = 3, 8, 40
	dsn, _ := database(t)
	var (
		working  sync.WaitGroup
		greatest atomic.Int64 // of all draws that have ended
		mu       sync.Mutex
		drawn    []int64
	)
	for range processes {
		s := newSequence(mysqldb.ConnOf(rawPool(t, dsn)), "")
		t.Cleanup(s.close)
		for worker := range workers {
			working.Go(func() {
				random := rand.New(rand.NewPCG(uint64(worker), 3))
				for range each {
					n := 1 + random.IntN(3)
					ctx := testContext(t)
					if random.IntN(10) == 0 {
						ended, cancel := context.WithCancel(ctx)
						cancel()
						if _, err := s.draw(ended, scope, n); err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
						continue
					}
					before := greatest.Load()
					first, err := s.draw(ctx, scope, n)
					if err != nil {
						t.Error(err)
						return
					}
					if first <= before {
						t.Errorf("drew %d after %d was drawn", first, before)
					}
					last := first + int64(n) - 1
					for seen := greatest.Load(); seen < last && !greatest.CompareAndSwap(seen, last); seen = greatest.Load() {
					}
					mu.Lock()
					for seq := first; seq <= last; seq++ {
						drawn = append(drawn, seq)
					}
					mu.Unlock()
				}
			})
		}
	}
	working.Wait()
	slices.Sort(drawn)
	if n := len(drawn); n < processes*workers*each/2 || len(slices.Compact(drawn)) != n {
		t.Errorf("%d numbers, some of them twice", n)
	}
	s := newSequence(mysqldb.ConnOf(rawPool(t, dsn)), "")
	defer s.close()
	if first, err := s.draw(testContext(t), "another", 5); err != nil || first != 1 {
		t.Errorf("another scope begins with %d, %v", first, err)
	}
}

// A draw that cannot work says so to all that wait, and the next one works.
func TestSequenceWithoutTable(t *testing.T) {
	dsn, _ := database(t)
	pool := rawPool(t, dsn)
	mustExec(t, pool, "ALTER TABLE events_seqs RENAME TO elsewhere")
	s := newSequence(mysqldb.ConnOf(pool), "")
	defer s.close()
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			if _, err := s.draw(testContext(t), scope, 1); !errors.Is(err, ErrSchema) {
				t.Errorf("error: %v", err)
			}
		})
	}
	working.Wait()
	mustExec(t, pool, "ALTER TABLE elsewhere RENAME TO events_seqs")
	if first, err := s.draw(testContext(t), scope, 1); err != nil || first != 1 {
		t.Errorf("%d, %v", first, err)
	}
}

// A connection that the server has closed while nobody drew costs no
// transaction.
func TestSequenceAfterIdleTime(t *testing.T) {
	pool := tables(t)
	s := newSequence(mysqldb.ConnOf(pool), "")
	defer s.close()
	for want := range int64(3) {
		if first, err := s.draw(testContext(t), scope, 1); err != nil || first != want+1 {
			t.Errorf("drew %d, %v", first, err)
		}
		var id int64
		err := s.connections.Lease(testContext(t), func(ctx context.Context, conn *sql.Conn) error {
			return conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id)
		})
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, pool, fmt.Sprintf("KILL CONNECTION %d", id))
	}
}
