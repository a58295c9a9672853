package eventmysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/gapset"
)

// reader reads as the relay does.
type reader struct {
	set   gapset.Set
	store *store
	limit int
}

// next returns the rows of one read.
func (r *reader) next(ctx context.Context) ([]eventmodels.OutboxRow, error) {
	q := r.set.Ask()
	read := eventmodels.OutboxRead{Scope: scope, Hint: q.Above, Limit: r.limit}
	for _, g := range q.Gaps {
		read.Gaps = append(read.Gaps, eventmodels.SeqRange{Lo: g.Lo, Hi: g.Hi})
	}
	page, err := r.store.ReadOutbox(ctx, read)
	if err != nil {
		return nil, err
	}
	_, err = r.set.Observe(q, gapset.Page{Seqs: seqsOf(page.Rows), Complete: len(page.Rows) < r.limit, Proof: gapset.Clock(time.Now(), 5*time.Minute)})
	return page.Rows, err
}

// Many transactions, which overlap, are rolled back, wait and store their
// events at different moments. Those that update the same row have an order,
// and the reader must see it; and it must see every committed event once.
func TestReadingKeepsCommitOrder(t *testing.T) {
	const (
		workers  = 24
		perRound = 120
		accounts = 6
	)
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE accounts (id integer PRIMARY KEY, version bigint NOT NULL)")
	mustExec(t, f.admin, "INSERT INTO accounts SELECT bucket, 0 FROM events_key_locks WHERE bucket < ?", accounts)
	errRollback := errors.New("rolled back by the test")

	var (
		mu        sync.Mutex
		committed = map[string]bool{}
	)
	work := func(worker, n int, random *rand.Rand) error {
		account := random.IntN(accounts)
		name := fmt.Sprintf("%d/%d", worker, n)
		err := f.Transact(testContext(t), func(tx *Tx) error {
			if random.IntN(4) == 0 { // at once, and without an order
				if err := f.ProduceTx(testContext(t), tx.Tx, event{"unordered", "", []byte(name)}); err != nil {
					return err
				}
			} else {
				var version int64
				if _, err := tx.ExecContext(testContext(t), "UPDATE accounts SET version = version + 1 WHERE id = ?", account); err != nil {
					return err
				}
				if err := tx.QueryRowContext(testContext(t), "SELECT version FROM accounts WHERE id = ?", account).Scan(&version); err != nil {
					return err
				}
				payload := binary.BigEndian.AppendUint64(nil, uint64(version))
				tx.Produce(event{"ordered", fmt.Sprint(account), append(payload, name...)})
			}
			if random.IntN(5) == 0 {
				mustExec(t, tx, "DO SLEEP(?)", random.Float64()*0.02)
			}
			if random.IntN(5) == 0 {
				return errRollback
			}
			return nil
		})
		switch {
		case err == nil:
			mu.Lock()
			committed[name] = true
			mu.Unlock()
		case !errors.Is(err, errRollback):
			return err
		}
		return nil
	}

	// One that stays open all the time, with events of its own.
	long := f.begin(t)
	if err := f.ProduceTx(testContext(t), long, event{"unordered", "", []byte("long")}); err != nil {
		t.Fatal(err)
	}

	seen := map[string]bool{}
	latest := map[string]uint64{}
	r := reader{store: f.store(t), limit: 7}
	check := func(rows []eventmodels.OutboxRow) {
		var keys []eventmodels.OutboxKey
		for _, row := range rows {
			keys = append(keys, row.OutboxKey())
			name := string(row.Payload)
			if row.Topic == scope+"ordered" {
				version := binary.BigEndian.Uint64(row.Payload)
				name = name[8:]
				if version <= latest[string(row.Key)] {
					t.Errorf("account %s: version %d after %d", row.Key, version, latest[string(row.Key)])
				}
				latest[string(row.Key)] = version
			}
			if seen[name] {
				t.Errorf("%s is seen twice", name)
			}
			seen[name] = true
		}
		if err := r.store.DeleteOutbox(testContext(t), scope, keys); err != nil {
			t.Error(err)
		}
	}

	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for n := range perRound {
				if err := work(worker, n, random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		rows, err := r.next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		check(rows)
	}
	if err := long.Commit(); err != nil {
		t.Fatal(err)
	}
	committed["long"] = true
	for {
		rows, err := r.next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		check(rows)
		if len(rows) == 0 {
			break
		}
	}
	for name := range committed {
		if !seen[name] {
			t.Errorf("%s is lost", name)
		}
	}
	if len(seen) != len(committed) {
		t.Errorf("%d events are seen, %d committed", len(seen), len(committed))
	}
	if n := f.count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if r.set.Len() == 0 {
		t.Error("there were no gaps: nothing was tested")
	}
	t.Logf("%d events committed, %d seqs drawn", len(committed), r.set.Hint())
}
