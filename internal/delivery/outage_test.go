package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/loglimit"
)

var (
	errAway     = errors.New("connection refused")
	errConflict = errors.New("deadlock detected")
)

func faultOf(err error) eventmodels.Fault {
	switch {
	case errors.Is(err, errAway):
		return eventmodels.FaultAway
	case errors.Is(err, errConflict):
		return eventmodels.FaultConflict
	}
	return eventmodels.FaultEvent
}

// outage is a database that is away for a while.
type outage struct {
	away      atomic.Bool
	questions atomic.Int32
	// asking and most count the questions at the same time.
	asking, most atomic.Int32
}

func (o *outage) healthy(context.Context) error {
	o.questions.Add(1)
	o.most.Store(max(o.most.Load(), o.asking.Add(1)))
	defer o.asking.Add(-1)
	time.Sleep(10 * time.Millisecond)
	if o.away.Load() {
		return errAway
	}
	return nil
}

// Ten minutes without the database, under load, discard nothing: whether the
// handlers' errors say what has happened, or say nothing, or the handlers hang.
func TestOutageDiscardsNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		err  func(ctx context.Context) error
	}{
		{"recognised", func(context.Context) error { return errAway }},
		{"not recognised", func(context.Context) error { return errTest }},
		{"not to be retried", func(context.Context) error {
			return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
		}},
		{"recognised, not to be retried", func(context.Context) error {
			return eventmodels.SetErrorHandling(errAway, eventmodels.DoNotRetry)
		}},
		{"hanging", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		{"hanging and recognised", func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", errAway, ctx.Err())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				var o outage
				var handled, dropped atomic.Int32
				f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
				f.cfg.Observer.Dropped = func(*Handler) { dropped.Add(1) }
				h := f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
					if o.away.Load() {
						return c.err(ctx)
					}
					handled.Add(1)
					return nil
				})
				h.Timeout = time.Minute
				tp := at("orders", 0)
				f.start(tp)
				produce := func(d time.Duration) {
					for range int(d / time.Second) {
						f.produce(tp, 20)
						f.settle(time.Second)
					}
				}
				produce(10 * time.Second)
				o.away.Store(true)
				produce(10 * time.Minute)
				calls := f.count("invoice")
				f.settle(time.Hour)
				if n := f.count("invoice") - calls; n > 200 {
					t.Errorf("%d calls in an hour of outage", n)
				}
				f.wantCommitted(tp, 200)
				if n := o.most.Load(); n != 1 {
					t.Errorf("%d questions at a time", n)
				}
				if b := f.engine.Blocked(); len(b) != 1 || b[0].Reason != BlockAway || !errors.Is(b[0].Err, errAway) {
					t.Errorf("blocked: %+v", b)
				}
				o.away.Store(false)
				produce(10 * time.Second)
				f.settle(2 * time.Minute)
				f.wantCommitted(tp, 20*620)
				if handled.Load() != 20*620 || dropped.Load() != 0 {
					t.Errorf("handled %d, dropped %d", handled.Load(), dropped.Load())
				}
				if b := f.engine.Blocked(); len(b) != 0 {
					t.Errorf("blocked: %+v", b)
				}
				f.wantLogged(1, "do not answer")
				f.wantLogged(1, "answer again")
				f.wantLogged(0, "discarded")
				f.stop()
			})
		})
	}
}

// Attempts that end because a server is away do not count, and cost no time.
func TestAwayCountsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Fault = faultOf
		var o outage
		f.cfg.Healthy = o.healthy
		n := 0
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if n++; n%2 == 1 {
				return errAway
			}
			return errTest
		})
		h.Timeout = 5 * time.Second
		f.produce(at("orders", 0), 1)
		f.start(at("orders", 0))
		f.settle(time.Hour)
		// Counted are 1, 3, 6 and 8. The second of each pair has what was left
		// for the first one.
		f.wantTimes("invoice", "0 1 2 3 5 6 7 8")
		want := []int{1, 1, 2, 2, 3, 3, 4, 4}
		for i, c := range f.called() {
			if i < len(want) && c.attempt != want[i] {
				t.Errorf("call %d is attempt %d, want %d", i, c.attempt, want[i])
			}
		}
		f.stop()
	})
}

// An event's time does not go while it could run, but for a server that is away
// or a slot that others have: it was not tried in that time.
func TestTimeIsNotUsedUpByOthers(t *testing.T) {
	const hours = 2 * time.Hour
	for name, blocks := range map[string]func(o *outage) error{
		"a server": func(o *outage) error {
			if o.away.Load() {
				return errAway
			}
			return nil
		},
		"a slot": func(*outage) error { time.Sleep(hours); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.cfg.Fault = faultOf
				var o outage
				o.away.Store(name == "a server")
				f.cfg.Healthy = o.healthy
				var left []time.Duration
				h := f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
					if m.Offset == 1 {
						return blocks(&o)
					}
					deadline, _ := ctx.Deadline()
					left = append(left, time.Until(deadline))
					if m.Attempt < 3 {
						return errTest
					}
					return ctx.Err()
				})
				h.Timeout, h.Concurrency = 30*time.Second, 1
				tp := at("orders", 0)
				f.produce(tp, 2)
				f.start(tp)
				f.settle(hours)
				o.away.Store(false)
				f.settle(time.Minute)
				// It has waited for 1 s and 2 s of its own.
				if fmt.Sprint(left) != "[30s 29s 27s]" {
					t.Errorf("left for each attempt: %v", left)
				}
				f.wantCommitted(tp, 2)
				f.wantLogged(0, "discarded")
				f.stop()
			})
		})
	}
}

// After an outage that was only noticed when its time was up, an event has the
// whole timeout again: all of its attempts may have failed for that reason.
func TestWholeTimeoutAfterAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var o outage
		o.away.Store(true)
		f.cfg.Healthy = o.healthy
		well := 0
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if o.away.Load() {
				return errTest
			}
			if well++; well < 4 {
				return errTest
			}
			return nil
		})
		h.Timeout = 15 * time.Second
		tp := at("orders", 0)
		f.produce(tp, 1)
		f.start(tp)
		f.settle(10 * time.Minute)
		o.away.Store(false)
		f.settle(time.Minute)
		f.wantCommitted(tp, 1)
		f.wantLogged(0, "discarded")
		if well != 4 {
			t.Errorf("%d attempts after the outage", well)
		}
		f.stop()
	})
}

func TestConflictsAreTriedAgainSoon(t *testing.T) {
	for _, c := range []struct{ conflicts, attempt int }{{10, 1}, {11, 2}, {12, 3}} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			f.cfg.Fault = faultOf
			n, attempt := 0, 0
			f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
				if n++; n <= c.conflicts {
					return errConflict
				}
				attempt = m.Attempt
				return nil
			})
			f.produce(at("orders", 0), 1)
			f.start(at("orders", 0))
			f.settle(900 * time.Millisecond)
			f.wantCount("invoice", 11)
			f.settle(time.Minute)
			if attempt != c.attempt {
				t.Errorf("%d conflicts: succeeded in attempt %d, want %d", c.conflicts, attempt, c.attempt)
			}
			f.stop()
		})
	}
}

// Before an event is given up, the servers are asked; after that it is.
func TestFinalVerdictIsConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var o outage
		f.cfg.Healthy = o.healthy
		tp := at("orders", 0)
		f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error { return errTest }).NoRetry = true
		h := f.handle("keep", "audit", func(context.Context, *eventmodels.Message) error { return errTest })
		h.NoRetry, h.OnFailure = true, eventmodels.OnFailureBlock
		var dropped atomic.Int64
		f.cfg.Observer.Dropped = func(*Handler) { dropped.Add(1) }
		f.produce(tp, 1000)
		f.produce(at("audit", 0), 1)
		f.start(tp, at("audit", 0))
		f.settle(5 * time.Second)
		f.wantCommitted(tp, 1000)
		f.wantCommitted(at("audit", 0), 0)
		if n := dropped.Load(); n != 1000 {
			t.Errorf("%d events were dropped", n)
		}
		f.wantLogged(loglimit.DefaultBurst, "discarded") // more say nothing new
		f.wantLogged(1, "blocks its partition")
		if n := o.questions.Load(); n > 300 {
			t.Errorf("%d questions for 1000 events", n)
		}
		if b := f.engine.Blocked(); len(b) != 1 || b[0].Reason != BlockStuck || b[0].Handler != "keep" || b[0].Attempt != 1 {
			t.Errorf("blocked: %+v", b)
		}
		f.stop()
	})
}

// The outage of what one topic's handlers need does not pause another's.
func TestOutageHoldsOnlyWhatItConcerns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var o outage
		o.away.Store(true)
		f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
		f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error { return errAway })
		f.handle("audit", "audit", nil)
		f.produce(at("orders", 0), 5000)
		f.produce(at("audit", 0), 5000)
		f.start(at("orders", 0), at("audit", 0))
		f.settle(time.Minute)
		f.wantCommitted(at("audit", 0), 5000)
		f.wantCommitted(at("orders", 0), 0)
		f.stop()
	})
}

// A partition that is revoked while its event waits for the prober leaves it
// to the next owner.
func TestRevokedWhileAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		answer := make(chan struct{})
		f.cfg.Healthy = func(context.Context) error { <-answer; return nil }
		f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error { return errTest }).NoRetry = true
		tp := at("orders", 0)
		f.produce(tp, 1)
		f.start(tp)
		f.settle(time.Second)
		f.revoke(context.Background(), f.engine, tp)
		close(answer)
		f.settle(time.Second)
		f.wantCommitted(tp, 0)
		f.wantLogged(0, "discarded")
		f.assign(f.engine, tp)
		f.settle(time.Second)
		f.wantCount("invoice", 2)
		f.wantCommitted(tp, 1)
		f.stop()
	})
}

// A server that only the handler knows does not make its event immortal: what
// looks like an outage, while the library's servers answer, counts from the
// eleventh time on.
func TestOutageOfTheHandlersOwnServerCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var o outage
		var dropped, calls atomic.Int32
		f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
		f.cfg.Observer.Dropped = func(*Handler) { dropped.Add(1) }
		f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error {
			calls.Add(1)
			return errAway
		})
		tp := at("orders", 0)
		f.start(tp)
		f.produce(tp, 1)
		f.settle(time.Hour)
		f.wantCommitted(tp, 1)
		f.stop()
		if dropped.Load() != 1 || calls.Load() <= maxAways {
			t.Errorf("dropped %d times after %d calls", dropped.Load(), calls.Load())
		}
	})
}
