package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A postponed delivery holds neither a slot nor a place in the queue, has its
// whole timeout when it runs, and no attempt is counted for the wait.
func TestPostponed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Slots = NewSlots(1)
		var deadline atomic.Int64
		h := f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
			if m.Offset == 0 {
				if until := f.began.Add(time.Hour); time.Now().Before(until) {
					return NotBefore(until)
				}
				at, _ := ctx.Deadline()
				deadline.Store(int64(time.Until(at)))
				if r := RecordOf(ctx); r == nil || r.Offset != 0 {
					t.Errorf("the record is %+v", r)
				}
				if Pressed(ctx) {
					t.Error("it is pressed")
				}
			}
			return nil
		})
		h.QueueDepth, h.Concurrency = 1, 1
		var succeeded, failed atomic.Int32
		f.cfg.Observer.Succeeded = func(*Handler) { succeeded.Add(1) }
		f.cfg.Observer.Failed = func(*Handler, error) { failed.Add(1) }
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 4)
		f.settle(30 * time.Minute)
		f.wantCount("invoice", 4)
		f.wantCommitted(at("orders", 0), 0)
		f.settle(time.Hour)
		f.wantTimes("invoice", "0 0 0 0 3600")
		f.wantCommitted(at("orders", 0), 4)
		calls := f.called()
		if last := calls[len(calls)-1]; last.attempt != 1 || time.Duration(deadline.Load()) != DefaultTimeout {
			t.Errorf("attempt %d with %v left", last.attempt, time.Duration(deadline.Load()))
		}
		if succeeded.Load() != 4 || failed.Load() != 0 {
			t.Errorf("%d successes, %d failures", succeeded.Load(), failed.Load())
		}
		f.wantLogged(0, "failed")
	})
}

// A postponed delivery is woken by its partition and offset; one that is about
// to be postponed runs again.
func TestWake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var well atomic.Bool
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			was := well.Load()
			if m.Offset == 1 {
				time.Sleep(time.Second)
			}
			if !was {
				return NotBefore(time.Now().Add(time.Hour))
			}
			return nil
		})
		e := f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 2)
		f.settle(500 * time.Millisecond)
		well.Store(true)
		e.Wake(at("orders", 1), 0) // not ours
		e.Wake(at("orders", 0), 0)
		e.Wake(at("orders", 0), 1) // runs
		f.settle(10 * time.Second)
		f.wantTimes("invoice", "0 0 0.5 1")
		f.wantCommitted(at("orders", 0), 2)
	})
}

// A window that is full of postponed deliveries moves on: the oldest are asked
// to make room, but not before they have been here for a minute, and again only
// after another.
func TestPressed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		f.cfg.Limits.WindowRecords = 10
		var asked [20]atomic.Int32
		f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
			if m.Offset >= 20 {
				return nil
			}
			if Pressed(ctx) {
				if n := asked[m.Offset].Add(1); m.Offset != 3 || n > 2 { // this one makes no room twice
					return ToSink("copy")
				}
			}
			return NotBefore(f.began.Add(time.Hour))
		})
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 30)
		f.settle(59 * time.Second)
		f.wantCommitted(at("orders", 0), 0)
		if box.written() != "" {
			t.Errorf("written before their time: %s", box.written())
		}
		f.settle(2 * time.Second)
		f.wantCommitted(at("orders", 0), 3)
		f.settle(10 * time.Minute)
		f.wantCommitted(at("orders", 0), 30)
		if f.count("invoice") > 80 {
			t.Errorf("%d calls", f.count("invoice"))
		}
		for o := range asked {
			want := int32(1)
			if o == 3 {
				want = 3
			}
			if n := asked[o].Load(); n != want {
				t.Errorf("record %d was asked %d times to make room", o, n)
			}
		}
		if p := f.engine.s.partitions[at("orders", 0)]; p.pressed != 0 {
			t.Errorf("%d are pressed", p.pressed)
		}
	})
}

// The end of an assignment forgets what is postponed, and another begins anew.
func TestPostponedAndRevoked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			return NotBefore(f.began.Add(time.Hour))
		})
		e := f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 3)
		f.settle(time.Second)
		for n := range 3 {
			f.revoke(context.Background(), e, at("orders", 0))
			if took := time.Since(f.began); took != time.Second*time.Duration(n+1) {
				t.Errorf("the revocation ended at %v", took)
			}
			e.Wake(at("orders", 0), 1)
			f.assign(e, at("orders", 0))
			f.settle(time.Second)
			f.wantCount("invoice", 3*(n+2))
		}
		if n := fmt.Sprint(e.s.retries.len(), len(e.s.workers)); n != "3 0" {
			t.Errorf("retries and workers: %s", n)
		}
	})
}
