package delivery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// crowd is how a batch handler begins, so that a batch queues up meanwhile: it
// needs a second for the event with offset 0.
func crowd(ms []*eventmodels.Message) {
	if ms[0].Offset == 0 {
		time.Sleep(time.Second)
	}
}

// has returns the position of an offset in a batch, -1 if it is not there.
func has(ms []*eventmodels.Message, offset int64) int {
	return slices.IndexFunc(ms, func(m *eventmodels.Message) bool { return m.Offset == offset })
}

// A batch is what has queued up while all runs were busy.
func TestBatchesFormUnderPressure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h, calls := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
			time.Sleep(time.Second)
			return nil
		})
		h.Concurrency = 3
		tp := at("orders", 0)
		f.start(tp)
		for range 3 {
			f.produce(tp, 1)
			f.settle(0)
		}
		f.produce(tp, 70)
		f.settle(10 * time.Second)
		// Three runs are allowed; 30 queue up while they are busy, and what
		// they take makes room for the next 30.
		f.produce(tp, 2)
		f.settle(10 * time.Second)
		slices.SortFunc(calls.all, func(a, b batch) int { return int(a.offsets[0] - b.offsets[0]) })
		calls.want(`
			0: 0
			0: 1
			0: 2
			1: 3-32
			1: 33-62
			1: 63-72
			10: 73
			10: 74`)
		f.wantCommitted(tp, 75)
		f.stop()
	})
}

func TestBatchIsBounded(t *testing.T) {
	for _, c := range []struct {
		batch, depth, want int
	}{{30, 0, 30}, {5, 0, 5}, {30, 7, 7}, {100, 0, 30}, {0, 0, 1}} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			most := 0
			h, _ := f.handleBatch("invoice", "orders", c.batch, func(_ context.Context, ms []*eventmodels.Message) error {
				crowd(ms)
				most = max(most, len(ms))
				return nil
			})
			h.QueueDepth = c.depth
			tp := at("orders", 0)
			f.produce(tp, 500)
			f.start(tp)
			f.settle(10 * time.Second)
			if most != c.want {
				t.Errorf("%+v: the largest batch has %d", c, most)
			}
			f.wantCommitted(tp, 500)
			f.stop()
		})
	}
}

// One bad event among thirty: 29 succeed, one gets the verdict, whatever it
// fails with.
func TestOneBadEventInABatch(t *testing.T) {
	const bad = 20
	// isolated is how a plain error is traced to the bad event, from start on.
	isolated := func(start string) string {
		return strings.ReplaceAll(`
			T: 1-15
			T: 16-30
			T: 16-22
			T: 16-18
			T: 19-22
			T: 19-20
			T: 19
			T: 20
			T: 21-22
			T: 23-30`, "T", start)
	}
	named := func(err error) func([]*eventmodels.Message, int) error {
		return func(_ []*eventmodels.Message, i int) error {
			return fmt.Errorf("send: %w", &eventmodels.BatchError{Errors: map[int]error{i: err}})
		}
	}
	plain := func(err error) func([]*eventmodels.Message, int) error {
		return func([]*eventmodels.Message, int) error { return err }
	}
	for _, c := range []struct {
		name   string
		change func(*Handler)
		fail   func(ms []*eventmodels.Message, i int) error
		calls  string
	}{
		{"plain error", nil, plain(errTest), `
			0: 0
			1: 1-30
			2: 1-30` + isolated("2") + `
			3: 20#2
			5: 20#3
			9: 20#4
			10.5: 20#5`},
		{"plain error, exactly-once", func(h *Handler) { h.Atomic = true }, plain(errTest), `
			0: 0
			1: 1-30
			2: 1-30` + isolated("2") + `
			3: 20#2
			5: 20#3
			9: 20#4
			10.5: 20#5`},
		{"panic", nil, func([]*eventmodels.Message, int) error { panic("boom") }, `
			0: 0
			1: 1-30
			2: 1-30` + isolated("2") + `
			3: 20#2
			5: 20#3
			9: 20#4
			10.5: 20#5`},
		{"the end of the goroutine", nil, func([]*eventmodels.Message, int) error { exitGoroutine(); return nil }, `
			0: 0
			1: 1-30
			2: 1-30` + isolated("2") + `
			3: 20#2
			5: 20#3
			9: 20#4
			10.5: 20#5`},
		{"DoNotRetry", nil, plain(eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)), `
			0: 0
			1: 1-30` + isolated("1")},
		{"without retries", func(h *Handler) { h.NoRetry = true }, plain(errTest), `
			0: 0
			1: 1-30` + isolated("1")},
		{"RetryAfter", nil, plain(eventmodels.RetryAfter(errTest, 4*time.Second)), `
			0: 0
			1: 1-30
			5: 1-30` + isolated("5") + `
			9: 20#2
			13: 20#3`},
		{"RetryAfter beyond the timeout", nil, plain(eventmodels.RetryAfter(errTest, time.Hour)), `
			0: 0
			1: 1-30` + isolated("1")},
		{"BatchError", nil, named(errTest), `
			0: 0
			1: 1-30
			2: 20#2
			4: 20#3
			8: 20#4
			9.5: 20#5`},
		{"BatchError, DoNotRetry", nil, named(eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)), `
			0: 0
			1: 1-30`},
		{"BatchError, RetryAfter", nil, named(eventmodels.RetryAfter(errTest, 6*time.Second)), `
			0: 0
			1: 1-30
			7: 20#2`},
		{"BatchError, IgnoreError", nil, named(eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError)), `
			0: 0
			1: 1-30`},
		{"BatchError, exactly-once", func(h *Handler) { h.Atomic = true }, named(errTest), `
			0: 0
			1: 1-30
			1: 1-19 21-30
			2: 20#2
			4: 20#3
			8: 20#4
			9.5: 20#5`},
		{"BatchError, exactly-once, DoNotRetry", func(h *Handler) { h.Atomic = true }, named(eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)), `
			0: 0
			1: 1-30
			1: 1-19 21-30`},
		{"BatchError out of range", nil, func(_ []*eventmodels.Message, i int) error {
			return &eventmodels.BatchError{Errors: map[int]error{i: eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError), 1000: errTest}}
		}, `
			0: 0
			1: 1-30
			2: 1-30` + isolated("2") + `
			3: 20#2
			5: 20#3
			9: 20#4
			10.5: 20#5`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				var o outage
				f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
				succeeded, dropped := 0, 0
				f.cfg.Observer.Succeeded = func(*Handler) { succeeded++ }
				f.cfg.Observer.Dropped = func(*Handler) { dropped++ }
				h, calls := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
					crowd(ms)
					if i := has(ms, bad); i >= 0 {
						return c.fail(ms, i)
					}
					return nil
				})
				h.Timeout = 10 * time.Second
				if c.change != nil {
					c.change(h)
				}
				tp := at("orders", 0)
				f.produce(tp, 31)
				f.start(tp)
				f.settle(time.Hour)
				calls.want(c.calls)
				f.wantCommitted(tp, 31)
				f.stop()
				f.wantLogged(0, "secret")
				if ignored := strings.Contains(c.name, "IgnoreError"); succeeded != 30 || dropped != 1 && !ignored {
					t.Errorf("%d have succeeded, %d were dropped", succeeded, dropped)
				}
			})
		})
	}
}
