package storetest

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

// Reader reads as the relay does, but for what it does to be fast.
type Reader struct {
	Gaps  gapset.Set
	Store eventmodels.OutboxStore
	Limit int
}

// Next returns the rows of one read.
func (r *Reader) Next(ctx context.Context) ([]eventmodels.OutboxRow, error) {
	q := r.Gaps.Ask()
	read := eventmodels.OutboxRead{Scope: Scope, Hint: q.Above, Limit: r.Limit}
	for _, g := range q.Gaps {
		read.Gaps = append(read.Gaps, eventmodels.SeqRange{Lo: g.Lo, Hi: g.Hi})
	}
	page, err := r.Store.ReadOutbox(ctx, read)
	if err != nil {
		return nil, err
	}
	proof := gapset.Clock(time.Now(), 5*time.Minute)
	if page.Proof == eventmodels.ProofXID {
		proof = gapset.XID(page.Xmin, page.Drawn)
	}
	err = r.Gaps.Observe(q, gapset.Page{Seqs: SeqsOf(page.Rows), Complete: len(page.Rows) < r.Limit, Proof: proof})
	return page.Rows, err
}

// Many transactions, which overlap, are rolled back, wait and store their
// events at different moments. Those that update the same row have an order,
// and the reader must see it; and it must see every committed event once.
func (b *Backend[ID, T, D, O]) readingKeepsCommitOrder(t *testing.T) {
	const (
		workers  = 24
		perRound = 120
		accounts = 6
	)
	d := b.NewDatabase(t)
	MustExec(t, d.Admin, "CREATE TABLE accounts (id integer PRIMARY KEY, version bigint NOT NULL)")
	for account := range accounts {
		MustExec(t, d.Admin, fmt.Sprintf("INSERT INTO accounts VALUES (%d, 0)", account))
	}
	errRollback := errors.New("rolled back by the test")

	var (
		mu        sync.Mutex
		committed = map[string]bool{}
	)
	work := func(worker, n int, random *rand.Rand) error {
		account := random.IntN(accounts)
		name := fmt.Sprintf("%d/%d", worker, n)
		err := d.Opened.Transact(Context(t), func(tx T) error {
			if random.IntN(4) == 0 { // at once, and without an order
				if err := d.Opened.ProduceTx(Context(t), tx, Event("unordered", "", []byte(name))); err != nil {
					return err
				}
			} else {
				var version int64
				if _, err := tx.ExecContext(Context(t), fmt.Sprintf("UPDATE accounts SET version = version + 1 WHERE id = %d", account)); err != nil {
					return err
				}
				if err := tx.QueryRowContext(Context(t), fmt.Sprintf("SELECT version FROM accounts WHERE id = %d", account)).Scan(&version); err != nil {
					return err
				}
				payload := binary.BigEndian.AppendUint64(nil, uint64(version))
				tx.Produce(Event("ordered", fmt.Sprint(account), append(payload, name...)))
			}
			if random.IntN(5) == 0 {
				MustExec(t, tx, b.Sleep(time.Duration(random.IntN(int(20*time.Millisecond)))))
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
	long := d.BeginTx(t)
	if err := d.Opened.ProduceTx(Context(t), long, Event("unordered", "", []byte("long"))); err != nil {
		t.Fatal(err)
	}

	seen := map[string]bool{}
	latest := map[string]uint64{}
	r := Reader{Store: d.OpenStore(t), Limit: 7}
	gaps := 0
	check := func(rows []eventmodels.OutboxRow) {
		var keys []eventmodels.OutboxKey
		for _, row := range rows {
			keys = append(keys, row.OutboxKey())
			name := string(row.Payload)
			if row.Topic == Scope+"ordered" {
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
		if err := r.Store.DeleteOutbox(Context(t), Scope, keys); err != nil {
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
		rows, err := r.Next(Context(t))
		if err != nil {
			t.Fatal(err)
		}
		check(rows)
		gaps = max(gaps, len(r.Gaps.Ask().Gaps))
	}
	if err := long.Commit(); err != nil {
		t.Fatal(err)
	}
	committed["long"] = true
	for {
		rows, err := r.Next(Context(t))
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
	if n := d.Count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if gaps == 0 {
		t.Error("there were no gaps: nothing was tested")
	}
	t.Logf("%d events committed, %d seqs drawn", len(committed), r.Gaps.Hint())
}
