package eventtest

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

// What an attempt that fails has done and produced is undone.
func (s *suite[ID, TX, DB]) rolledBack(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	setup := w.library(nil)
	setup.schema(effects)
	derived := newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		once(lib, "g", discard, "h", func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
			if err := w.effect(ctx, tx, "h", e.Payload.ID, e.Attempt); err != nil {
				return err
			}
			produceIn(tx, audit.Event("k", order{ID: e.Payload.ID, N: e.Attempt}))
			switch {
			case e.Payload.N == 1 && e.Attempt < 3:
				return errTest
			case e.Payload.N == 2:
				return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
			case e.Payload.N == 3 && e.Attempt < 2:
				panic("a bug")
			case e.Payload.N == 4 && e.Attempt < 2:
				return eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError)
			}
			return nil
		}, quickly)
		lib.ConsumeIdempotent(events.NewConsumerGroup("audit"), block, "h", audit.Handler(derived.handle))
	})
	c.relay()
	c.produce(orders, 0, 6)
	kafka.awaitNoLag("g", "orders")
	c.produce(orders, 6, 7) // its derived event is behind all others
	kafka.awaitNoLag("g", "orders")
	eventually(t, "the last derived event", func() bool {
		for _, e := range derived.all() {
			if e.Payload.ID == orderID(6) {
				return true
			}
		}
		return false
	})
	attempts := map[string]int{orderID(0): 1, orderID(1): 3, orderID(3): 2, orderID(5): 1, orderID(6): 1}
	want := make(map[string]int)
	for id := range attempts {
		want["h "+id] = 1
	}
	setup.wantEffects(want)
	for _, e := range derived.all() {
		if attempts[e.Payload.ID] != e.Payload.N {
			t.Errorf("%s was derived by attempt %d, which did not commit (or twice)", e.Payload.ID, e.Payload.N)
		}
		delete(attempts, e.Payload.ID)
	}
	for id := range attempts {
		t.Errorf("nothing was derived from %s", id)
	}
}

// A handler that does not return the error of a failed statement: where that
// has failed the transaction, the event takes its verdict, else it is done; in
// no case is a part of it.
func (s *suite[ID, TX, DB]) swallowedError(t *testing.T) {
	w := s.world(t)
	setup := w.library(nil)
	setup.schema(effects, `CREATE TABLE taken (id INTEGER PRIMARY KEY)`, `INSERT INTO taken VALUES (1)`)
	swallow := func(ctx context.Context, tx TX) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO taken VALUES (1)`); err == nil {
			t.Error("the statement did not fail")
		}
	}
	fails := setup.db.Transact(context.Background(), func(tx TX) error {
		swallow(context.Background(), tx)
		return nil
	}) != nil
	want := map[string]int{"h " + orderID(0): 1, "h " + orderID(1): 1, "h " + orderID(2): 1}
	if fails {
		delete(want, "h "+orderID(1))
	}
	s.refused(t, w, setup, swallow, want)
}

// A constraint that is checked at COMMIT is violated.
func (s *suite[ID, TX, DB]) deferredConstraint(t *testing.T) {
	if !s.h.DeferredConstraints {
		t.Skip("the database has no constraint that COMMIT checks")
	}
	w := s.world(t)
	setup := w.library(nil)
	setup.schema(effects, `CREATE TABLE parents (id INTEGER PRIMARY KEY)`,
		`CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`)
	s.refused(t, w, setup, func(ctx context.Context, tx TX) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO children VALUES (1)`); err != nil {
			t.Errorf("the constraint is not deferred: %v", err)
		}
	}, map[string]int{"h " + orderID(0): 1, "h " + orderID(2): 1})
}

// refused runs a handler that does mischief with order 1 and returns nil.
func (s *suite[ID, TX, DB]) refused(t *testing.T, w *world[ID, TX, DB], setup *service[ID, TX, DB], mischief func(context.Context, TX), want map[string]int) {
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	var attempts atomic.Int32
	derived := newSeen[order]()
	handle := func(name string) func(context.Context, TX, eventmodels.Event[order]) error {
		return func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
			if err := w.effect(ctx, tx, name, e.Payload.ID, e.Attempt); err != nil {
				return err
			}
			produceIn(tx, audit.Event("k", e.Payload))
			if e.Payload.N == 1 && name == "h" {
				attempts.Add(1)
				mischief(ctx, tx)
			}
			return nil
		}
	}
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		once(lib, "g", discard, "h", handle("h"), events.WithRetrying(false))
		once(lib, "g", discard, "other", handle("other"))
		lib.ConsumeIdempotent(events.NewConsumerGroup("audit"), block, "h", audit.Handler(derived.handle))
	})
	c.relay()
	c.produce(orders, 0, 3)
	kafka.awaitNoLag("g", "orders")
	for n := range 3 {
		want["other "+orderID(n)] = 1
	}
	setup.wantEffects(want)
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts of the refused event, want one", n)
	}
	derived.wait(t, len(want))
	c.shutdown()
	if n := len(decoded(kafka, "audit")); n != len(want) {
		t.Errorf("%d derived events, want %d", n, len(want))
	}
}

// While instances come, go, crash and stall, each event takes effect once, and
// has one derived event.
func (s *suite[ID, TX, DB]) onceThroughCrash(t *testing.T) {
	t.Parallel()
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 6, nil)
	setup := w.library(nil)
	setup.schema(effects)
	var dialers [3]*eventembed.Dialer
	var by [3]atomic.Int64
	var services [3]*service[ID, TX, DB]
	for i := range 3 {
		dialers[i] = eventembed.NewDialer("instance", (&net.Dialer{}).DialContext)
		services[i] = w.library(func(lib *events.Library[ID, TX, DB]) {
			lib.SetDialer(dialers[i].DialContext)
			lib.SetLazyTxProduce(true)
			once(lib, "g", block, "h", func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
				by[i].Add(1)
				if err := w.effect(ctx, tx, "h", e.Payload.ID, e.Payload.N); err != nil {
					return err
				}
				produceIn(tx, audit.Event(e.Key, e.Payload))
				if rand.IntN(10) == 0 {
					return errTest
				}
				return nil
			}, quickly)
		})
		t.Cleanup(dialers[i].Restore)
	}
	relay := w.library(nil)
	relay.relay()
	l := w.startLoad(orders)
	for i := range 3 {
		services[i].consume()
		eventually(t, "the instance to work", func() bool { return by[i].Load() > 0 })
	}
	dialers[0].Cut()
	dialers[1].Stall()
	l.more(t, 20)
	all := l.stop()
	kafka.awaitNoLag("g", "orders")
	dialers[1].Restore()
	dialers[0].Restore()
	want := make(map[string]int)
	for n := range all {
		want["h "+orderID(n)] = 1
	}
	setup.wantEffects(want)
	relay.shutdown()
	wantOnce(t, "derived events", decoded(kafka, "audit"), 0, all)
}
