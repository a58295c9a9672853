package memorydb

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// stage is a server and a process in a bubble.
type stage struct {
	t      *testing.T
	server *Server
	client *Client
	db     *Connection
	store  eventmodels.OutboxStore
}

func bubble(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, server: New()}
		s.client = s.server.NewClient(1)
		s.db = s.client.Connect()
		s.db.AugmentWithProducer(rowProducer{uuid.New})
		s.store = store{s.client}
		test(t, s)
		time.Sleep(2 * time.Minute) // what is late has arrived
	})
}

// begin begins a transaction that has drawn a seq.
func (s *stage) begin() *Tx {
	s.t.Helper()
	tx, err := s.client.BeginTx(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	row := eventmodels.OutboxRow{ID: uuid.New(), Topic: "orders"}
	if err := (dialect{s.client}).InsertOutbox(s.t.Context(), tx, "", []eventmodels.OutboxRow{row}); err != nil {
		s.t.Fatal(err)
	}
	return tx
}

func (s *stage) read() eventmodels.OutboxPage {
	s.t.Helper()
	page, err := s.store.ReadOutbox(s.t.Context(), eventmodels.OutboxRead{Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// Rows appear with their commits, in another order than their seqs, and a
// snapshot says which transactions have not ended.
func TestSeqsAreNotInTheOrderOfCommits(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		first, second, third := s.begin(), s.begin(), s.begin()
		if err := second.Commit(); err != nil {
			t.Fatal(err)
		}
		page := s.read()
		if len(page.Rows) != 1 || page.Rows[0].Seq != 2 || page.Xmin != 1 || page.Drawn != 4 {
			t.Errorf("after the second's commit: %+v", page)
		}
		if err := first.Commit(); err != nil {
			t.Fatal(err)
		}
		_ = third.Rollback()
		time.Sleep(time.Second)
		page = s.read()
		if len(page.Rows) != 2 || page.Rows[0].Seq != 1 || page.Xmin != 4 {
			t.Errorf("after all: %+v", page)
		}
	})
}

// A row lock makes the order of a key's events that of the commits, and a
// rollback gives its place back.
func TestNextIsTheOrderOfCommits(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		next := func(tx *Tx) int64 {
			seq, err := tx.Next(t.Context(), "orders", "key")
			if err != nil {
				t.Error(err)
			}
			return seq
		}
		holder := s.begin()
		next(holder)
		got := make(chan int64)
		go func() {
			waits, err := s.client.BeginTx(t.Context(), nil)
			if err != nil {
				t.Error(err)
			}
			seq := next(waits)
			if err := waits.Record(t.Context(), checker.Committed{Topic: "orders", Key: "key", ID: "a", Seq: seq}); err != nil {
				t.Error(err)
			}
			if err := waits.Commit(); err != nil {
				t.Error(err)
			}
			got <- seq
		}()
		time.Sleep(time.Minute)
		select {
		case <-got:
			t.Error("two transactions have the same row's lock")
		default:
		}
		_ = holder.Rollback()
		if seq := <-got; seq != 1 {
			t.Errorf("the second is number %d, want 1: the first has rolled back", seq)
		}
		if seq := next(s.begin()); seq != 2 {
			t.Errorf("then number %d, want 2", seq)
		}
	})
}

// A lost COMMIT has an unknown outcome, and both happen.
func TestLostCommit(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.client.SetTrouble(0, 1)
		outcomes := map[bool]int{}
		for n := range 50 {
			id := fmt.Sprint(n)
			err := s.db.Transact(t.Context(), func(tx *Tx) error {
				return tx.Record(t.Context(), checker.Committed{Topic: "orders", ID: id})
			})
			if !errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(time.Second)
			committed := s.server.Committed()
			outcomes[len(committed) > 0 && committed[len(committed)-1].ID == id]++
		}
		if outcomes[true] == 0 || outcomes[false] == 0 {
			t.Errorf("of 50 lost COMMITs %d had taken effect", outcomes[true])
		}
	})
}

// After Kill nothing of the process takes effect, and its locks are held until
// the server has noticed.
func TestKill(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		tx := s.begin()
		if _, err := tx.Next(t.Context(), "orders", "key"); err != nil {
			t.Fatal(err)
		}
		s.client.Kill(30 * time.Second)
		if err := tx.Commit(); err == nil {
			t.Error("a dead process has committed")
		}
		s.client.Restore()
		if err := s.db.Ping(t.Context()); s.db.Fault(err) != eventmodels.FaultAway {
			t.Errorf("Ping of a dead process: %v", err)
		}
		began := time.Now()
		other := s.server.NewClient(2)
		next, err := other.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.Next(t.Context(), "orders", "key"); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited < 29*time.Second || waited > 31*time.Second {
			t.Errorf("the lock was held for %v, want 30s", waited)
		}
		if rows, _, _ := s.server.Waiting(); rows != 0 || len(s.server.Committed()) != 0 {
			t.Error("something of the dead transaction is there")
		}
	})
}

// Stalled statements wait, and those whose context ends meanwhile may take
// effect when nobody waits any more.
func TestStall(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.client.Stall()
		for n := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _, err := s.store.AcquireLease(ctx, fmt.Sprint(n), "me", "cluster", time.Hour)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		s.client.Restore()
		time.Sleep(time.Minute)
		s.server.mu.Lock()
		n := len(s.server.leases)
		s.server.mu.Unlock()
		if n == 0 || n == 20 {
			t.Errorf("%d of 20 late statements took effect, want some", n)
		}
	})
}

// Restart ends transactions; a context that ends rolls back.
func TestTransactionsThatEnd(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		tx := s.begin()
		s.server.Restart()
		if err := tx.Record(t.Context(), checker.Committed{}); s.db.Fault(err) != eventmodels.FaultAway {
			t.Errorf("a statement after the server's restart: %v", err)
		}
		if err := tx.Commit(); err == nil {
			t.Error("committed after the server's restart")
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := s.client.BeginTx(ctx, nil); err != nil {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(time.Second)
		if _, _, open := s.server.Waiting(); open != 0 {
			t.Errorf("%d transactions are open", open)
		}
		s.client.SetTrouble(1, 0)
		err := s.db.Transact(t.Context(), func(tx *Tx) error { return tx.Effect(t.Context(), checker.Effect{}) })
		if s.db.Fault(err) != eventmodels.FaultConflict {
			t.Errorf("a conflict: %v", err)
		}
	})
}

// A clock that is ahead ends a lease early.
func TestSkew(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		acquire := func(owner string) bool {
			_, held, err := s.store.AcquireLease(t.Context(), "", owner, "cluster", 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return held
		}
		if !acquire("one") || acquire("two") {
			t.Error("the lease is not the first's")
		}
		s.server.SetSkew(time.Minute)
		if !acquire("two") {
			t.Error("the lease has not expired by the server's clock")
		}
	})
}

// Those who listen hear a Wake.
func TestListen(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		listening, heard, done := make(chan struct{}), make(chan struct{}, 1), make(chan error, 1)
		go func() { done <- s.store.Listen(ctx, "", listening, func() { heard <- struct{}{} }) }()
		<-listening
		if err := (store{s.server.NewClient(2)}).Wake(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		<-heard
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Listen: %v", err)
		}
	})
}
