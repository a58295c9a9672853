package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A batch may hold several events of one lane, in order. When it fails, nothing
// of a lane runs before what is in front of it has its final verdict; other
// lanes go on.
func TestLanesInABatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Handler)
		keys   string // of the batch, from offset 1 on
		err    func(ms []*eventmodels.Message, bad int) error
		calls  string
	}{
		{"plain, one lane", nil, "aaaaaaaa", func([]*eventmodels.Message, int) error { return errTest }, `
			0: 0
			1: 1-8
			2: 1-8
			2: 1-4
			2: 1-2
			2: 3-4
			2: 3
			3: 3#2
			5: 3#3
			5: 4-8`},
		{"plain, two lanes", nil, "abababab", func([]*eventmodels.Message, int) error { return errTest }, `
			0: 0
			1: 1 3 5 7 2 4 6 8
			2: 1 3 5 7 2 4 6 8
			2: 1 3 5 7
			2: 1 3
			2: 1
			2: 3
			2: 2 4 6 8
			3: 3#2
			5: 3#3
			5: 5 7`},
		{"named", nil, "abababab", func(ms []*eventmodels.Message, i int) error {
			failed := &eventmodels.BatchError{Errors: map[int]error{i: errTest}}
			if len(ms) > 1 {
				failed.Fail(i+2, errTest)
			}
			return failed
		}, `
			0: 0
			1: 1 3 5 7 2 4 6 8
			2: 3#2
			4: 3#3
			4: 7#2`},
		{"named, exactly-once", func(h *Handler) { h.Atomic = true }, "abababab", func(_ []*eventmodels.Message, i int) error {
			return &eventmodels.BatchError{Errors: map[int]error{i: errTest}}
		}, `
			0: 0
			1: 1 3 5 7 2 4 6 8
			1: 1-2 4 6 8
			2: 3#2
			4: 3#3
			4: 5 7`},
		{"by partition", func(h *Handler) { h.Ordering = ByPartition }, "abababab", func([]*eventmodels.Message, int) error { return errTest }, `
			0: 0
			1: 1-8
			2: 1-8
			2: 1-4
			2: 1-2
			2: 3-4
			2: 3
			3: 3#2
			5: 3#3
			5: 4-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				h, calls := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
					crowd(ms)
					if i := has(ms, 3); i >= 0 && ms[i].Attempt < 3 {
						return c.err(ms, i)
					}
					return nil
				})
				h.Ordering = ByKey
				if c.change != nil {
					c.change(h)
				}
				tp := at("orders", 0)
				f.produceKeys(tp, "-"+c.keys)
				f.start(tp)
				f.settle(time.Minute)
				calls.want(c.calls)
				f.wantCommitted(tp, 9)
				f.wantNoLanes()
				f.stop()
			})
		})
	}
}

// A batch has an event whose final verdict falls, or does not, while one in
// front of it in the lane is tried again.
func TestLaneWithAVerdictBehindTheFirst(t *testing.T) {
	for name, c := range map[string]struct {
		onFailure eventmodels.OnFailure
		away      bool
		want      int64 // committed
	}{
		// The third one goes back behind the second, which is the first by then.
		"servers away": {eventmodels.OnFailureDiscard, true, 5},
		// The third one is never done, and the second is.
		"stuck": {eventmodels.OnFailureBlock, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				var o outage
				f.cfg.Healthy = o.healthy
				failed := map[int64]bool{}
				h, _ := f.handleBatch("invoice", "orders", 10, func(_ context.Context, ms []*eventmodels.Message) error {
					crowd(ms)
					var all eventmodels.BatchError
					for i, m := range ms {
						switch {
						case failed[m.Offset] && m.Offset != 3:
							continue
						case m.Offset == 1:
							o.away.Store(c.away)
							all.Fail(i, eventmodels.RetryAfter(errTest, time.Millisecond))
						case m.Offset == 2:
							all.Fail(i, errTest)
						case m.Offset == 3 && (!failed[3] || !c.away):
							all.Fail(i, eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry))
						}
						failed[m.Offset] = true
					}
					return all.Err()
				})
				h.Ordering, h.OnFailure = ByPartition, c.onFailure
				tp := at("orders", 0)
				f.produce(tp, 5)
				f.start(tp)
				f.settle(3 * time.Second)
				o.away.Store(false)
				f.settle(10 * time.Minute)
				f.wantCommitted(tp, c.want)
				if err := f.engine.checkCounts(); err != nil {
					t.Error(err)
				}
				f.stop()
			})
		})
	}
}
