package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Truncations meet whatever there is: lanes, batches that are taken apart,
// paused handlers, servers that are away, letters on their way, deliveries that
// are postponed, woken and pressed in a full window, revocations, and (every
// third seed) events that block their partition. Nothing is forgotten by that,
// and the counts stay right.
func TestRewindsForgetNothing(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { rewindAtRandom(t, seed) })
		})
	}
}

func rewindAtRandom(t *testing.T, seed uint64) {
	f := newFixture(t)
	rnd := rand.New(rand.NewPCG(seed, 0)) // guarded by f.mu
	calm := false                         // guarded by f.mu
	onFailure := eventmodels.OnFailureDiscard
	if seed%3 == 2 {
		onFailure = eventmodels.OnFailureBlock
	}
	dice := func(n int) int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return rnd.IntN(n)
	}
	var o outage
	f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
	f.cfg.Limits.WindowRecords = 60
	f.cfg.Sink = func(_ context.Context, out []*Outgoing) []error {
		time.Sleep(time.Duration(dice(300)) * time.Millisecond)
		errs := make([]error, len(out))
		for i := range errs {
			if dice(5) == 0 {
				errs[i] = errTest
			}
		}
		return errs
	}
	outcome := func(ms []*eventmodels.Message, blocks bool) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if calm {
			return nil
		}
		one := func() error {
			switch rnd.IntN(12) {
			case 0:
				return errAway
			case 1:
				return errConflict
			case 2, 3:
				if !blocks { // it would for ever
					return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
				}
			case 4, 5:
				return errTest
			}
			return nil
		}
		if rnd.IntN(3) == 0 {
			return one()
		}
		var failed eventmodels.BatchError
		for i := range ms {
			failed.Fail(i, one())
		}
		return failed.Err()
	}
	for i, ordering := range []Ordering{Unordered, ByKey, ByPartition} {
		h, _ := f.handleBatch(fmt.Sprint("h", i), "orders", 6, func(_ context.Context, ms []*eventmodels.Message) error {
			time.Sleep(time.Duration(dice(100)) * time.Millisecond)
			return outcome(ms, i == 2 && onFailure == eventmodels.OnFailureBlock)
		})
		h.Ordering, h.Concurrency, h.Atomic = ordering, 2, i == 1
		h.OnFailure = []eventmodels.OnFailure{eventmodels.OnFailureDiscard, eventmodels.OnFailureSave, onFailure}[i]
	}
	f.cfg.Limits.PressAfter = time.Second
	letters := f.handle("h3", "orders", nil)
	letters.OnFailure, letters.Concurrency = eventmodels.OnFailureSave, 3
	letters.Run = func(ctx context.Context, ms []*eventmodels.Message) error {
		time.Sleep(time.Duration(dice(100)) * time.Millisecond)
		switch n := dice(10); {
		case n < 2:
			return ToSink("done")
		case n < 5 && Pressed(ctx):
			return ToSink("copy")
		case n < 5:
			return NotBefore(time.Now().Add(time.Duration(dice(20)) * time.Second))
		}
		return outcome(ms, false)
	}
	zero, one := at("orders", 0), at("orders", 1)
	f.produce(zero, 300)
	f.produce(one, 300)
	for i, r := range append(f.broker.logs[zero], f.broker.logs[one]...) {
		r.Key = []byte("abc")[i%3 : i%3+1]
	}
	f.start(zero, one)
	check := func() {
		t.Helper()
		if err := f.engine.checkCounts(); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		f.settle(time.Duration(dice(500)) * time.Millisecond)
		check()
		switch n := dice(10); {
		case n < 4:
			tp := zero
			if n%2 == 0 {
				tp = one
			}
			for _, p := range f.engine.Positions() {
				if p.TopicPartition == tp {
					f.seek(tp, max(0, p.Done+int64(dice(20))-5))
				}
			}
		case n == 4:
			f.engine.Pause(fmt.Sprint("h", dice(4)))
		case n == 5:
			f.engine.Resume(fmt.Sprint("h", dice(4)))
		case n == 6:
			o.away.Store(!o.away.Load())
		case n == 7:
			f.engine.Wake(one, int64(dice(300)))
		case n == 8:
			f.revoke(context.Background(), f.engine, one)
			check()
			f.assign(f.engine, one)
		}
	}
	f.mu.Lock()
	calm = true
	f.mu.Unlock()
	o.away.Store(false)
	for i := range 4 {
		f.engine.Resume(fmt.Sprint("h", i))
	}
	f.settle(10 * time.Minute)
	check()
	for _, p := range f.engine.Positions() {
		if p.Done != 300 {
			t.Errorf("%v is at %d", p.TopicPartition, p.Done)
		}
	}
	for _, s := range f.engine.Stats() {
		if s.Queued+s.Running+s.Retrying+s.Backlog > 0 || s.QueueFull {
			t.Errorf("left: %+v", s)
		}
	}
	f.stop()
}

// A partition that is blocked by an event goes on when its log is truncated
// below it: the event is in the log no more, and another may have its place.
func TestTruncationFreesABlockedPartition(t *testing.T) {
	for _, test := range []struct {
		name    string
		noRetry bool
		reason  BlockReason
	}{
		{"retrying", false, BlockRetrying},
		{"stuck", true, BlockStuck},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				var truncated atomic.Bool
				h := f.handle("h", "orders", func(_ context.Context, m *eventmodels.Message) error {
					if m.Offset == 5 && (!truncated.Load() || m.Attempt > 1) { // the first one of offset 5 never succeeds
						return errTest
					}
					return nil
				})
				h.OnFailure, h.NoRetry = eventmodels.OnFailureBlock, test.noRetry
				tp := at("orders", 0)
				f.produce(tp, 10)
				f.start(tp)
				f.settle(time.Minute)
				if b := f.engine.Blocked(); len(b) != 1 || b[0].Reason != test.reason || b[0].Offset != 5 {
					t.Fatalf("blocked: %+v", b)
				}
				truncated.Store(true)
				f.seek(tp, 4)
				f.settle(time.Minute)
				if b := f.engine.Blocked(); len(b) != 0 {
					t.Errorf("blocked: %+v", b)
				}
				f.wantCommitted(tp, 10)
				f.stop()
			})
		})
	}
}
