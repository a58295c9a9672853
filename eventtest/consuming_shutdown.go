package eventtest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// A handler that hangs with all that it may run stops neither the others of
// its group, nor other groups, nor broadcasts; and Shutdown does not wait for
// it longer than its ctx, and names it.
func (s *suite[ID, TX, DB]) hungHandler(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	var hung atomic.Int32
	beside, other, heard := newSeen[order](), newSeen[order](), newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.SetMaxRunningHandlers(4)
		lib.ConsumeIdempotent(group, block, "hung", audit.Handler(func(context.Context, eventmodels.Event[order]) error {
			hung.Add(1)
			<-release
			return nil
		}))
		lib.ConsumeIdempotent(group, block, "beside", orders.Handler(beside.handle))
		lib.ConsumeIdempotent(events.NewConsumerGroup("other"), block, "other", audit.Handler(other.handle))
		lib.ConsumeBroadcast("b", audit.Handler(heard.handle))
	})
	c.abandons = true
	c.produce(audit, 0, 50)
	eventually(t, "the handler to hang", func() bool { return hung.Load() > 0 })
	c.produce(audit, 50, 100)
	c.produce(orders, 0, 100)
	beside.wait(t, 100)
	other.wait(t, 100)
	heard.wait(t, 100)
	kafka.awaitNoLag("g", "orders")
	kafka.awaitNoLag("other", "audit")

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	err := c.lib.Shutdown(ended)
	var abandoned *events.AbandonedError
	if !errors.As(err, &abandoned) || !errors.Is(err, context.Canceled) || !slices.Contains(abandoned.Handlers, "g/hung") {
		t.Errorf("Shutdown: %v", err)
	}
	await(t, c.consumed, "consuming to end")
	if at := kafka.lag("g", "audit"); at != 100 {
		t.Errorf("of the events that hang, %d were committed", 100-at)
	}
}

// When consuming and relaying end in the middle of the work, no handler starts
// any more, all that was done is committed, and what the last handlers have
// produced is in Kafka before the relay ends.
func (s *suite[ID, TX, DB]) shutdownUnderLoad(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 4, nil)
	done, again := newSeen[order](), newSeen[order]()
	var began, ended atomic.Int64
	var hold atomic.Bool // the next handler waits
	held, release := make(chan struct{}), make(chan struct{})
	work := func(e eventmodels.Event[order], derive func(eventmodels.ProducingEvent) error) error {
		began.Add(1)
		defer ended.Add(1)
		if hold.CompareAndSwap(true, false) {
			close(held)
			<-release
		}
		done.add(e)
		return derive(audit.Event(e.Key, e.Payload))
	}
	c := w.library(func(lib *events.Library[ID, TX, DB]) {
		lib.SetLazyTxProduce(true) // nothing but the relay relays
		if w.open == nil {
			lib.ConsumeIdempotent(group, block, "h", orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
				return work(e, func(derived eventmodels.ProducingEvent) error {
					return lib.Produce(ctx, eventmodels.ProduceImmediate, derived)
				})
			}))
			return
		}
		once(lib, "g", block, "h", func(_ context.Context, tx TX, e eventmodels.Event[order]) error {
			return work(e, func(derived eventmodels.ProducingEvent) error {
				produceIn(tx, derived)
				return nil
			})
		})
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	relayed := make(chan struct{}) // never closed without a relay
	if w.open != nil {
		var err error
		if relayed, err = c.lib.CatchUpProduce(ctx, 100*time.Millisecond, 500); err != nil {
			t.Fatal(err)
		}
	}
	started, stopped, err := c.lib.StartConsuming(ctx)
	if err != nil {
		t.Fatal(err)
	}
	await(t, started, "consuming to start")
	l := w.startLoad(orders)
	done.wait(t, 50)
	hold.Store(true)
	await(t, held, "a handler to wait")
	cancel()
	select {
	case <-relayed:
		t.Error("the relay has ended although a handler runs")
	case <-stopped:
		t.Error("consuming has ended although a handler runs")
	case <-time.After(300 * time.Millisecond):
	}
	close(release)
	await(t, stopped, "consuming to end")
	if w.open != nil {
		await(t, relayed, "the relay to end")
	}
	if began.Load() != ended.Load() {
		t.Errorf("%d handlers still run", began.Load()-ended.Load())
	}
	n := began.Load()
	l.more(t, 10)
	l.stop()
	if began.Load() != n {
		t.Error("a handler started after the end")
	}
	// Nobody relays any more, and yet everything is there.
	before, arrived := times(done.all()), times(decoded(kafka, "audit"))
	for n := range before {
		if arrived[n] != 1 {
			t.Errorf("order %d was done, and its derived event is in Kafka %d times", n, arrived[n])
		}
	}
	if len(arrived) != len(before) {
		t.Errorf("%d events were derived from %d orders", len(arrived), len(before))
	}

	w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "h", orders.Handler(again.handle))
	})
	kafka.awaitNoLag("g", "orders")
	for n := range times(again.all()) {
		if before[n] > 0 {
			t.Errorf("order %d was done before the shutdown, and delivered again", n)
		}
	}
	if len(before)+len(times(again.all())) != int(l.produced.Load()) {
		t.Errorf("%d orders were done before and %d after the shutdown, of %d", len(before), len(times(again.all())), l.produced.Load())
	}
}

// decoded is what is in a topic.
func decoded(kafka *cluster, topic string) (evs []eventmodels.Event[order]) {
	kafka.t.Helper()
	for _, r := range kafka.records(topic) {
		var o order
		kafka.must("decode", json.Unmarshal(r.Value, &o))
		evs = append(evs, eventmodels.Event[order]{Topic: topic, Key: string(r.Key), Payload: o, Partition: r.Partition, Offset: r.Offset})
	}
	return evs
}
