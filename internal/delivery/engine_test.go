package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

func TestEventsAreHandledAndCommitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		var m eventmodels.Message
		f.handle("keep", "orders", func(_ context.Context, got *eventmodels.Message) error {
			if got.Offset == 7 {
				m = *got
			}
			return nil
		})
		f.produce(at("orders", 0), 500)
		e := f.start(at("orders", 0))
		f.settle(time.Second)
		f.wantCount("invoice", 500)
		f.wantCount("keep", 500)
		f.wantCommitted(at("orders", 0), 500)
		if m.Topic != "orders" || m.BaseTopic != "orders" || m.ConsumerGroup != "billing" || m.HandlerName != "keep" || m.Attempt != 1 {
			t.Errorf("message %+v", m)
		}
		if got := f.called()[0].values; got != "value" {
			t.Errorf("the context has value %v", got)
		}
		commits := f.commitCount()
		f.settle(10 * time.Minute)
		if f.commitCount() != commits {
			t.Error("committed while idle")
		}
		f.produce(at("orders", 0), 1)
		if abandoned := e.Drain(context.Background()); abandoned != nil {
			t.Errorf("abandoned %v", abandoned)
		}
		e.Stop()
	})
}

func TestRestartHandlesNothingAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		tp := at("orders", 0)
		f.produce(tp, 100)
		f.start(tp)
		f.settle(time.Millisecond) // sooner than the commit interval
		f.stop()
		f.wantCommitted(tp, 100)
		f.unassign([]kafka.TopicPartition{tp})
		f.start(tp)
		f.settle(time.Minute)
		f.wantCount("invoice", 100)
		f.produce(tp, 1)
		f.settle(time.Minute)
		f.wantCount("invoice", 101)
		f.stop()
	})
}

func TestTrailingControlRecordsAreCommitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		tp := at("orders", 0)
		f.produce(tp, 10)
		f.control(tp, 2)
		f.start(tp)
		f.settle(time.Second)
		f.wantCommitted(tp, 12)
		f.control(tp, 1)
		f.settle(time.Second)
		f.wantCommitted(tp, 13)
		f.stop()
	})
}

func TestTopicsWithEqualPartitionNumbers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		f.handle("audit", "audit", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset == 3 {
				return errTest
			}
			return nil
		}).OnFailure = eventmodels.OnFailureBlock
		f.produce(at("orders", 0), 100)
		f.produce(at("audit", 0), 50)
		f.produce(at("audit", 1), 7)
		f.start(at("orders", 0), at("audit", 0), at("audit", 1))
		f.settle(time.Minute)
		f.wantCommitted(at("orders", 0), 100)
		f.wantCommitted(at("audit", 0), 3)
		f.wantCommitted(at("audit", 1), 3)
		f.stop()
	})
}

func TestRetrySchedule(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(h *Handler)
		fail      func(attempt int) error
		times     string
		committed int64
	}{
		{"until the timeout", nil, func(int) error { return errTest },
			"0 1 3 7 15 31 61 91 121 151 181 211 241 271 285.5 292.8 296.4 298.2", 1},
		{"success at last", nil, func(n int) error {
			if n < 4 {
				return errTest
			}
			return nil
		}, "0 1 3 7", 1},
		{"short timeout", func(h *Handler) { h.Timeout = 3 * time.Second }, func(int) error { return errTest }, "0 1 2", 1},
		{"WithRetrying(false)", func(h *Handler) { h.NoRetry = true }, func(int) error { return errTest }, "0", 1},
		{"DoNotRetry", nil, func(int) error { return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry) }, "0", 1},
		{"IgnoreError", nil, func(int) error { return eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError) }, "0", 1},
		{"RetryAfter", nil, func(int) error { return eventmodels.RetryAfter(errTest, 100*time.Second) }, "0 100 200", 1},
		{"RetryAfter beyond the timeout", nil, func(int) error { return eventmodels.RetryAfter(errTest, time.Hour) }, "0", 1},
		{"already processed", nil, func(int) error { return fmt.Errorf("mark: %w", eventmodels.ErrAlreadyProcessed) }, "0", 1},
		{"panic", func(h *Handler) { h.Timeout = 3 * time.Second }, func(int) error { panic(errTest) }, "0 1 2", 1},
		{"payload does not fit", nil, func(int) error { return &eventmodels.DecodeError{} }, "0", 1},
		{"block", func(h *Handler) { h.OnFailure = eventmodels.OnFailureBlock }, func(n int) error {
			if n < 20 {
				return errTest
			}
			return nil
		}, "0 1 3 7 15 31 61 91 121 151 181 211 241 271 301 331 361 391 421 451", 1},
		{"block without retrying", func(h *Handler) { h.OnFailure, h.NoRetry = eventmodels.OnFailureBlock, true },
			func(int) error { return errTest }, "0", 0},
		{"block, DoNotRetry", func(h *Handler) { h.OnFailure = eventmodels.OnFailureBlock },
			func(int) error { return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry) }, "0", 0},
		{"block, RetryAfter", func(h *Handler) { h.OnFailure = eventmodels.OnFailureBlock }, func(n int) error {
			if n < 3 {
				return eventmodels.RetryAfter(errTest, 400*time.Second)
			}
			return nil
		}, "0 400 800", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error { return c.fail(m.Attempt) })
				if c.change != nil {
					c.change(h)
				}
				f.produce(at("orders", 0), 1)
				f.start(at("orders", 0))
				f.settle(time.Hour)
				f.wantTimes("invoice", c.times)
				f.wantCommitted(at("orders", 0), c.committed)
				for i, called := range f.called() {
					if called.attempt != i+1 {
						t.Errorf("call %d is attempt %d", i+1, called.attempt)
					}
				}
				f.stop()
				f.wantLogged(0, "secret")
			})
		})
	}
}

func TestUndecodableEventTakesOnFailure(t *testing.T) {
	for _, onFailure := range []eventmodels.OnFailure{eventmodels.OnFailureDiscard, eventmodels.OnFailureBlock} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			var failed error
			var decoded atomic.Int32
			f.cfg.Observer.Failed = func(_ *Handler, err error) { failed = err }
			f.cfg.Decode = func(r *kafka.Record, into *eventmodels.Message) error {
				decoded.Add(1)
				if r.Offset == 1 {
					panic("bad header")
				}
				return decode(r, into)
			}
			f.handle("invoice", "orders", nil).OnFailure = onFailure
			tp := at("orders", 0)
			f.produce(tp, 3)
			f.start(tp)
			f.settle(time.Hour)
			f.wantCount("invoice", 2)
			if !errors.Is(failed, eventmodels.ErrDecode) {
				t.Errorf("error %v", failed)
			}
			if n := decoded.Load(); n != 3 {
				t.Errorf("decoded %d times", n)
			}
			if onFailure == eventmodels.OnFailureDiscard {
				f.wantCommitted(tp, 3)
				f.wantLogged(1, "was discarded")
			} else {
				f.wantCommitted(tp, 1)
				f.wantLogged(1, "blocks its partition")
			}
			f.stop()
		})
	}
}

func TestTimeoutCancelsTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var cause, failed error
		f.cfg.Observer.Failed = func(_ *Handler, err error) { failed = err }
		h := f.handle("invoice", "orders", func(ctx context.Context, _ *eventmodels.Message) error {
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) != 10*time.Second {
				t.Errorf("deadline %v %v", time.Until(deadline), ok)
			}
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		})
		h.Timeout = 10 * time.Second
		f.produce(at("orders", 0), 1)
		f.start(at("orders", 0))
		f.settle(time.Minute)
		f.wantTimes("invoice", "0")
		if !errors.Is(cause, eventmodels.TimeoutErr) || !errors.Is(failed, eventmodels.TimeoutErr) || !errors.Is(failed, context.DeadlineExceeded) {
			t.Errorf("cause %v, error %v", cause, failed)
		}
		f.wantCommitted(at("orders", 0), 1)
		f.stop()
	})
}

func TestBlockHasANewDeadlineForEachAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
			if m.Attempt == 4 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		h.Timeout, h.OnFailure = 10*time.Second, eventmodels.OnFailureBlock
		f.produce(at("orders", 0), 1)
		f.start(at("orders", 0))
		f.settle(time.Hour)
		f.wantTimes("invoice", "0 11 23 37")
		f.wantCommitted(at("orders", 0), 1)
		f.stop()
	})
}

func TestNew(t *testing.T) {
	good := func() Config {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		return f.cfg
	}
	for _, c := range []struct {
		name, err string
		change    func(*Config)
	}{
		{"good", "", func(*Config) {}},
		{"no slots", `delivery for group "billing": no Slots`, func(c *Config) { c.Slots = nil }},
		{"no decode", `delivery for group "billing": no Decode`, func(c *Config) { c.Decode = nil }},
		{"no run", `delivery for group "billing": handler "invoice" of topic "orders": no Run`, func(c *Config) { c.Handlers[0].Run = nil }},
		{"letters", `delivery for group "billing": handler "invoice" of topic "orders": OnFailureSave without Sink`,
			func(c *Config) { c.Handlers[0].OnFailure = eventmodels.OnFailureSave }},
		{"twice", `delivery for group "billing": handler "invoice" of topic "orders": there are two of this name`,
			func(c *Config) { c.Handlers = append(c.Handlers, c.Handlers[0]) }},
		{"timeout", `delivery for group "billing": handler "invoice" of topic "orders": negative Timeout (-1ns)`, func(c *Config) { c.Handlers[0].Timeout = -1 }},
		{"limits", `delivery for group "billing": negative Limits.PollRecords (-1)`, func(c *Config) { c.Limits.PollRecords = -1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good()
			c.change(&cfg)
			e, err := New(cfg)
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || err.Error() != c.err):
				t.Errorf("error %v, want %s", err, c.err)
			case err == nil:
				e.Stop()
				e.Stop()
				if e.Drain(context.Background()) != nil {
					t.Error("something to drain")
				}
			}
		})
	}
}
