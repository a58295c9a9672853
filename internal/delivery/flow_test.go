package delivery

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A blocked partition: fetching stops, it is paused after a second, nothing
// piles up, the others go on; when the event succeeds it goes on, too.
func TestBlockedPartitionHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var well atomic.Bool
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset == 100 && m.Partition == 0 && !well.Load() {
				return errTest
			}
			time.Sleep(100 * time.Microsecond) // so that it blocks while others run
			return nil
		})
		h.OnFailure = eventmodels.OnFailureBlock
		blocked, other := at("orders", 0), at("orders", 1)
		f.produce(blocked, 20_000)
		f.start(blocked, other)
		f.settle(900 * time.Millisecond)
		if len(f.noted(&f.pauses)) != 0 {
			t.Errorf("paused: %v", f.noted(&f.pauses))
		}
		f.settle(time.Minute)
		if len(f.noted(&f.pauses)) != 1 || f.noted(&f.pauses)[0] != "orders@1s" {
			t.Errorf("paused: %v", f.noted(&f.pauses))
		}
		f.produce(other, 5000)
		f.settle(time.Second)
		f.wantCommitted(other, 5000)
		f.wantCommitted(blocked, 100)
		if n := f.positionOf(blocked); n > 2000 {
			t.Errorf("fetched up to %d", n)
		}
		calls := 0
		for _, c := range f.called() {
			if c.tp == blocked {
				calls++
			}
		}
		if calls > 200 {
			t.Errorf("%d calls behind the blocked event", calls)
		}
		if b := f.engine.Blocked(); len(b) != 1 || b[0].Reason != BlockRetrying || b[0].Offset != 100 || b[0].Topic != "orders" || b[0].Err == nil {
			t.Errorf("blocked: %+v", b)
		}
		f.wantLogged(1, "blocks its partition")
		well.Store(true)
		f.settle(time.Minute)
		f.wantCommitted(blocked, 20_000)
		if len(f.noted(&f.resumes)) != 1 {
			t.Errorf("resumed: %v", f.noted(&f.resumes))
		}
		f.stop()
	})
}

// A paused partition that is revoked is resumed at the source, since it may be
// assigned again.
func TestPausedPartitionIsRevoked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset == 0 && m.Attempt < 5 {
				return errTest
			}
			time.Sleep(100 * time.Microsecond) // so that it blocks while others run
			return nil
		})
		h.OnFailure = eventmodels.OnFailureBlock
		tp := at("orders", 0)
		f.produce(tp, 5000)
		f.start(tp)
		f.settle(5 * time.Second)
		f.revoke(t.Context(), f.engine, tp)
		f.settle(time.Second)
		if len(f.noted(&f.pauses)) != 1 || len(f.noted(&f.resumes)) != 1 {
			t.Errorf("paused %v, resumed %v", f.noted(&f.pauses), f.noted(&f.resumes))
		}
		f.assign(f.engine, tp)
		f.settle(time.Minute)
		f.wantCommitted(tp, 5000)
		f.stop()
	})
}

// The window's span bounds what is ahead of an event that is not done.
func TestSpanLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var well atomic.Bool
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset == 0 && !well.Load() {
				return eventmodels.RetryAfter(errTest, time.Minute)
			}
			return nil
		})
		tp := at("orders", 0)
		f.produce(tp, 25_000)
		f.start(tp)
		f.settle(50 * time.Second)
		f.wantCount("invoice", 10_000)
		f.wantCommitted(tp, 0)
		if n := f.positionOf(tp); n > 12_000 {
			t.Errorf("fetched up to %d", n)
		}
		well.Store(true)
		f.settle(time.Minute)
		f.wantCommitted(tp, 25_000)
		f.wantCount("invoice", 25_001)
		f.stop()
	})
}

// The window's bytes bound the memory of what is not done.
func TestByteLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Limits.WindowBytes = 100 * sizeOf(recordOf(0))
		f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error {
			return eventmodels.RetryAfter(errTest, time.Minute)
		})
		f.produce(at("orders", 0), 5000)
		f.start(at("orders", 0))
		f.settle(30 * time.Second)
		f.wantCount("invoice", 100)
		f.stop()
	})
}

// A slow handler does not delay another one of the same event until its queue
// is full, nor the events of other topics at all.
func TestSlowHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("fast", "orders", nil)
		h := f.handle("slow", "orders", sleepy(time.Second))
		h.Concurrency, h.QueueDepth = 1, 50
		f.handle("audit", "audit", nil)
		f.produce(at("orders", 0), 2000)
		f.start(at("orders", 0), at("audit", 0))
		f.settle(100 * time.Millisecond)
		f.wantCount("fast", 51)
		f.wantCount("slow", 1)
		for range 100 {
			f.produce(at("audit", 0), 1)
			f.settle(time.Second)
		}
		f.wantCount("audit", 100)
		late := 0
		for i, c := range f.called() {
			if c.handler == "audit" && i > 0 && c.at > 5*time.Second && c.at%time.Second != 100*time.Millisecond {
				late++
			}
		}
		if late > 0 {
			t.Errorf("%d events of the other topic were late", late)
		}
		f.wantCount("slow", 101)
		f.stop()
	})
}

// Short fullness is absorbed without pausing.
func TestShortFullnessDoesNotPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", sleepy(10*time.Millisecond))
		f.produce(at("orders", 0), 20_000) // 20 at once: 10 s
		f.start(at("orders", 0))
		f.settle(11 * time.Second)
		f.wantCommitted(at("orders", 0), 20_000)
		if len(f.noted(&f.pauses)) > 0 {
			t.Errorf("paused: %v", f.noted(&f.pauses))
		}
		f.stop()
	})
}

func TestConcurrencyAndQueueDepth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var running, most atomic.Int32
		h := f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		})
		h.Concurrency, h.QueueDepth = 3, 7
		f.produce(at("orders", 0), 100)
		f.start(at("orders", 0))
		f.settle(time.Millisecond)
		s := f.engine.Stats()[0]
		if s.Running != 3 || s.Queued != 7 || s.Backlog != 90 {
			t.Errorf("stats %+v", s)
		}
		f.settle(time.Minute)
		if most.Load() != 3 {
			t.Errorf("%d at once", most.Load())
		}
		f.wantCommitted(at("orders", 0), 100)
		f.stop()
	})
}

// A queue is filled when it is half empty, several records at once; but after
// each run where runs take long, and where others wait for the room.
func TestQueueIsFilledAtOnce(t *testing.T) {
	const short, long = time.Millisecond, admitWithin
	for _, c := range []struct {
		name  string
		run   time.Duration
		set   func(*fixture, *Handler) // nil: nothing
		pause int                      // in the middle of which run, counted from 0; 0: not at all
		want  []int                    // in the queue, in the middle of each run
	}{
		{"alone", short, nil, 0, []int{8, 7, 6, 5, 8, 7, 6, 5, 8}},
		{"long", long, nil, 0, []int{8, 8, 8, 8}},
		{"neither long nor short", long / 2, nil, 0, []int{8, 7, 8, 7, 8}},
		{"batches", short, func(_ *fixture, h *Handler) { h.Batch = 3 }, 0, []int{8, 5, 8, 5, 8}},
		{"large batches", short, func(_ *fixture, h *Handler) { h.Batch = 6 }, 0, []int{8, 8, 8, 8}},
		{"ordered", short, func(_ *fixture, h *Handler) { h.Ordering = ByKey }, 0, []int{8, 8, 8, 8}},
		{"with another", short, func(f *fixture, _ *Handler) { f.handle("audit", "orders", nil) }, 0, []int{8, 8, 8, 8}},
		{"paused", short, nil, 2, []int{8, 7, 6, 8, 8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				h := f.handle("invoice", "orders", sleepy(c.run))
				h.Concurrency, h.QueueDepth = 1, 8
				if c.set != nil {
					c.set(f, h)
				}
				f.produce(at("orders", 0), 100)
				f.start(at("orders", 0))
				f.settle(c.run / 2)
				var got []int
				for i := range c.want {
					got = append(got, f.engine.Stats()[0].Queued)
					if i > 0 && i == c.pause {
						f.engine.Pause("invoice")
					}
					f.settle(c.run)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%d in the queue, not %d", got, c.want)
				}
				f.engine.Resume("invoice")
				f.settle(time.Minute)
				f.wantCommitted(at("orders", 0), 100)
				f.stop()
			})
		})
	}
}

// A partition is not paused while a slow handler makes progress with it.
func TestSlowProgressDoesNotPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.handle("invoice", "orders", sleepy(200*time.Millisecond))
		h.Concurrency = 1
		f.produce(at("orders", 0), 1000)
		f.start(at("orders", 0))
		f.settle(time.Minute)
		if len(f.noted(&f.pauses)) > 0 {
			t.Errorf("paused: %v", f.noted(&f.pauses))
		}
		f.stop()
	})
}

// A handler that ignores its context keeps its slot and its event undone, is
// reported once, and stops nobody else.
func TestHungHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Slots = NewSlots(4) // one is shared
		release := make(chan struct{})
		overdue := 0
		f.cfg.Observer.Overdue = func(*Handler) { overdue++ }
		h := f.handle("hung", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset < 2 {
				<-release
				return errTest
			}
			return nil
		})
		h.Timeout = time.Minute
		f.handle("well", "orders", nil)
		f.handle("audit", "audit", nil)
		f.produce(at("orders", 0), 50)
		f.produce(at("audit", 0), 50)
		f.start(at("orders", 0), at("audit", 0))
		f.settle(time.Hour)
		if overdue != 2 {
			t.Errorf("%d overdue", overdue)
		}
		f.wantLogged(2, "has not returned")
		f.wantCount("well", 32)
		f.wantCount("audit", 50)
		f.wantCommitted(at("orders", 0), 0)
		s := f.engine.Stats()[0]
		if s.Running != 2 || s.Overdue != 2 || time.Since(s.OverdueSince) != 59*time.Minute || time.Since(s.OldestStart) != time.Hour {
			t.Errorf("stats %+v", s)
		}
		close(release)
		f.settle(time.Second)
		f.wantCount("hung", 50)
		f.wantCommitted(at("orders", 0), 50)
		f.wantLogged(2, "discarded")
		f.stop()
	})
}

func TestGoexitInAHandlerIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if m.Attempt == 1 {
				exitGoroutine()
			}
			return nil
		})
		f.produce(at("orders", 0), 50)
		f.start(at("orders", 0))
		f.settle(5 * time.Second)
		f.wantCommitted(at("orders", 0), 50)
		f.wantCount("invoice", 100)
		f.stop()
	})
}

// The slots are shared round-robin by the handlers of several engines.
func TestSlotsAreSharedByEngines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slots := NewSlots(6)
		var all []*fixture
		for _, group := range []string{"a", "b", "c"} {
			f := newFixture(t)
			f.cfg.Group, f.cfg.Slots = group, slots
			f.handle("h", "orders", sleepy(time.Second))
			all = append(all, f)
		}
		for _, f := range all {
			f.produce(at("orders", 0), 1000)
			f.start(at("orders", 0))
		}
		all[0].settle(100*time.Second + time.Millisecond)
		total := 0
		for _, f := range all {
			n := f.count("h")
			total += n
			if n < 190 || n > 215 {
				t.Errorf("group %s ran %d", f.cfg.Group, n)
			}
		}
		if total < 6*101 || total > 6*101+2 { // the first had the slots of the others until these came
			t.Errorf("%d in all", total)
		}
		for _, f := range all {
			f.stop()
		}
	})
}

func TestSourceCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		f.start(at("orders", 0))
		f.settle(time.Second)
		f.broker.mu.Lock()
		f.closed = true
		f.signal()
		f.broker.mu.Unlock()
		f.settle(time.Second)
		f.wantLogged(1, "fetching has ended")
		f.stop()
	})
}

func TestSampledGauges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var samples []string
		f.cfg.Observer.Sampled = func(all []HandlerStats) {
			samples = append(samples, strings.Repeat("r", all[0].Running)+strings.Repeat("w", all[0].Retrying))
		}
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			time.Sleep(1400 * time.Millisecond)
			if m.Attempt == 1 {
				return eventmodels.RetryAfter(errTest, time.Second)
			}
			return nil
		})
		f.produce(at("orders", 0), 1)
		f.start(at("orders", 0))
		f.settle(time.Minute)
		if !slices.Equal(samples, []string{"r", "w", "r", ""}) {
			t.Errorf("samples %q", samples)
		}
		f.stop()
	})
}
