package eventtest

import (
	"context"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
)

// A process without CatchUpProduce relays at commit. What Kafka has not got
// because it is away makes no committed transaction look failed, and goes out
// with the next commit or call.
func (s *suite[ID, TX, DB]) outboxNoRelay(t *testing.T) {
	w := s.world(t)
	svc, cable := w.cable(nil)
	one := func(n int) {
		svc.transact(func(tx TX) error {
			produceIn(tx, orders.Event("k", order{N: n}))
			return nil
		})
	}
	one(1)
	inOrder(t, w.records("orders"), 1) // when Transact is back
	if n := svc.lib.ProduceSyncCount.Load(); n != 1 {
		t.Errorf("ProduceSyncCount is %d, want 1", n)
	}
	cable.Cut()
	one(2)
	if n := svc.waiting(); n != 1 {
		t.Errorf("%d rows are in the outbox, want 1", n)
	}
	if err := svc.lib.ProduceFromTable(context.Background(), nil); err == nil {
		t.Error("ProduceFromTable says nothing although the row is still there")
	}
	cable.Restore()
	one(3)
	svc.drained()
	inOrder(t, w.records("orders"), 3)
}

// With SetLazyTxProduce events wait for the relay of another process.
func (s *suite[ID, TX, DB]) outboxLazy(t *testing.T) {
	w := s.world(t)
	lazy := w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetLazyTxProduce(true) })
	for n := range 10 {
		lazy.transact(func(tx TX) error {
			produceIn(tx, orders.Event("k", order{N: n + 1}))
			return nil
		})
	}
	if err := lazy.lib.ProduceFromTable(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if got := lazy.waiting(); got != 10 || lazy.lib.ProduceSyncCount.Load() != 0 {
		t.Errorf("%d of 10 events are waiting", got)
	}
	w.library(nil).relay()
	lazy.drained()
	inOrder(t, w.records("orders"), 10)
}

// When CatchUpProduce has ended, commits notice, also those during its end.
func (s *suite[ID, TX, DB]) outboxRelayEnded(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	n := 0
	one := func() {
		n++
		svc.transact(func(tx TX) error {
			produceIn(tx, orders.Event("k", order{N: n}))
			return nil
		})
	}
	for range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		done, err := svc.lib.CatchUpProduce(ctx, time.Hour, 100)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			one()
		}
		cancel()
		one() // while it ends
		await(t, done, "the relay's end")
		one()
		if left := svc.waiting(); left != 0 {
			t.Fatalf("%d events are left where nobody looks", left)
		}
	}
	inOrder(t, w.records("orders"), n)
}
