package delivery

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// A paused handler: what runs ends, nothing starts, its queue fills and the
// partition holds; other topics go on. When it is resumed nothing is lost, and
// a retry has the time that it had.
func TestPausedHandler(t *testing.T) {
	for _, batch := range []int{1, 10} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			var sampled atomic.Bool
			f.cfg.Observer.Sampled = func(stats []HandlerStats) { sampled.Store(stats[0].Paused && stats[0].QueueFull) }
			h, calls := f.handleBatch("invoice", "orders", batch, func(_ context.Context, ms []*eventmodels.Message) error {
				switch {
				case ms[0].Offset == 0 && ms[0].Attempt < 3:
					return errTest
				case ms[0].Offset == 1:
					time.Sleep(2 * time.Second)
				}
				return nil
			})
			h.Timeout = 4 * time.Second
			f.handle("audit", "audit", nil)
			tp := at("orders", 0)
			e := f.start(tp, at("audit", 0))
			f.produce(tp, 1)
			f.settle(0)
			f.produce(tp, 1) // runs from 0 to 2 s
			f.settle(1500 * time.Millisecond)
			if e.Pause("nobody") || !e.Pause("invoice") || !e.Pause("invoice") {
				t.Error("the wrong handlers were paused")
			}
			f.produce(tp, 3000)
			f.produce(at("audit", 0), 100)
			f.settle(time.Hour)
			if n := len(calls.all); n != 2 {
				t.Errorf("%d calls while it is paused:\n%s", n, calls)
			}
			f.wantCount("audit", 100)
			f.wantCommitted(at("audit", 0), 100)
			stats := e.Stats()[0]
			if !stats.Paused || !stats.QueueFull || stats.Running != 0 || stats.Queued != DefaultQueueDepth+1 || stats.Due != 1 || !sampled.Load() {
				t.Errorf("%+v", stats)
			}
			b := e.Blocked()
			if len(b) != 1 || b[0].Reason != BlockPaused || b[0].Handler != "invoice" || b[0].Since != f.began.Add(1500*time.Millisecond) {
				t.Errorf("blocked: %+v", b)
			}
			if p := f.positionOf(tp); p > 1200 {
				t.Errorf("%d records were fetched", p)
			}
			if e.Resume("nobody") || !e.Resume("invoice") || !e.Resume("invoice") {
				t.Error("the wrong handlers were resumed")
			}
			f.settle(time.Minute)
			f.wantCommitted(tp, 3002)
			f.wantLogged(0, "discarded")
			if b := e.Blocked(); len(b) != 0 {
				t.Errorf("blocked: %+v", b)
			}
			f.stop()
		})
	}
}

// Partitions go and come while a handler is paused, and the engine stops
// without waiting for it.
func TestPausedHandlerAndItsPartitions(t *testing.T) {
	for _, ordering := range []Ordering{Unordered, ByKey, ByPartition} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
				if m.Offset == 2 && m.Attempt < 2 {
					return errTest
				}
				return nil
			})
			h.Ordering = ordering
			zero, one := at("orders", 0), at("orders", 1)
			f.produceKeys(zero, "ab")
			f.start(zero, one)
			f.settle(time.Second)
			f.engine.Pause("invoice")
			f.produceKeys(zero, "aabb")
			f.produceKeys(one, "aabb")
			f.settle(time.Minute)
			f.revoke(context.Background(), f.engine, zero)
			f.wantCommitted(zero, 2)
			f.assign(f.engine, zero)
			f.settle(time.Minute)
			f.wantCount("invoice", 2)
			f.engine.Resume("invoice")
			f.settle(500 * time.Millisecond)
			f.engine.Pause("invoice") // while an event of each partition is tried again
			f.settle(time.Minute)
			began := time.Now()
			f.lose(f.engine, one)
			if left := f.engine.Drain(context.Background()); len(left) > 0 {
				t.Errorf("abandoned %+v", left)
			}
			f.engine.Stop()
			if took := time.Since(began); took > time.Second {
				t.Errorf("stopping took %v", took)
			}
			f.wantCommitted(zero, 2)

			f.unassign([]kafka.TopicPartition{zero, one})
			f.start()
			f.engine.Pause("invoice") // before there is anything
			f.assign(f.engine, zero, one)
			calls := f.count("invoice")
			f.settle(time.Minute)
			f.wantCount("invoice", calls)
			f.engine.Resume("invoice")
			f.settle(time.Minute)
			f.wantCommitted(zero, 6)
			f.wantCommitted(one, 4)
			f.wantNoLanes()
			f.stop()
		})
	}
}
