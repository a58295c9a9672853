package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// A handler can do with the headers as it likes: neither the topic's other
// handlers, which run at the same time, nor its next attempt see it.
func TestHeadersAreTheHandlersOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Decode = func(_ *kafka.Record, into *eventmodels.Message) error {
			into.Headers = map[string][]string{"kept": {"1"}}
			return nil
		}
		change := func(_ context.Context, m *eventmodels.Message) error {
			if len(m.Headers) != 1 {
				t.Errorf("attempt %d: %v", m.Attempt, m.Headers)
			}
			m.Headers["added"] = []string{"2"}
			if m.Attempt == 1 {
				return errTest
			}
			return nil
		}
		f.handle("one", "orders", change)
		f.handle("two", "orders", change)
		f.handle("alone", "audit", change)
		f.produce(at("orders", 0), 10)
		f.produce(at("audit", 0), 10)
		f.start(at("orders", 0), at("audit", 0))
		f.settle(time.Minute)
		f.wantCommitted(at("orders", 0), 10)
		f.wantCommitted(at("audit", 0), 10)
		f.stop()
	})
}

// What was polled and waits is bounded by its size, too: a few large records
// keep the poller from polling.
func TestLargeRecordsFillTheBacklog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Limits = Limits{PollRecords: 10, WindowBytes: 1 << 40}
		tp := at("orders", 0)
		f.produce(tp, 200)
		large := make([]byte, 1<<20)
		for _, r := range f.broker.logs[tp] {
			r.Value = large
		}
		release := make(chan struct{})
		f.handle("hangs", "orders", func(context.Context, *eventmodels.Message) error { <-release; return nil }).Concurrency = 1
		f.start(tp)
		f.settle(10 * time.Second)
		const admitted, backlog = 1 + DefaultQueueDepth, 8
		if got := f.positionOf(tp); got > admitted+backlog+10 {
			t.Errorf("%d MiB were polled", got)
		}
		close(release)
		f.settle(10 * time.Second)
		f.wantCommitted(tp, 200)
		f.stop()
	})
}

// nilError is the error of a handler that returns a nil pointer as an error.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// nilWrapper wraps another one.
type nilWrapper struct{ inner error }

func (e *nilWrapper) Error() string { return e.inner.Error() }
func (e *nilWrapper) Unwrap() error { return e.inner }

// An error of a handler whose methods panic does not end the process.
func TestErrorThatPanics(t *testing.T) {
	asks := func(err error) eventmodels.Fault {
		if e, ok := err.(*nilError); ok && e.text == "" {
			return eventmodels.FaultAway
		}
		return eventmodels.FaultEvent
	}
	for name, test := range map[string]struct {
		err   error
		fault func(error) eventmodels.Fault
	}{
		"its text":    {err: (*nilError)(nil)},
		"its cause":   {err: (*nilWrapper)(nil)},
		"joined":      {err: errors.Join(errTest, (*nilWrapper)(nil))},
		"whose fault": {err: (*nilError)(nil), fault: asks},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.cfg.Fault = test.fault
				h := f.handle("h", "orders", func(_ context.Context, m *eventmodels.Message) error {
					if m.Offset == 0 {
						return test.err
					}
					return nil
				})
				h.NoRetry = true
				f.produce(at("orders", 0), 2)
				f.start(at("orders", 0))
				f.settle(time.Second)
				f.wantCount("h", 2)
				f.wantCommitted(at("orders", 0), 2)
				f.stop()
			})
		})
	}
}

// The handlers of a topic get one payload: what the second one is given has
// been decoded for the first one.
func TestHandlersShareThePayload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Decode = func(_ *kafka.Record, into *eventmodels.Message) error {
			*into = eventmodels.Message{Data: []byte(`["text"]`)}
			return nil
		}
		var lists [2][10]*string // by handler and offset
		topic := eventmodels.BindTopic[[]string]("orders")
		for i, name := range []string{"one", "two"} {
			keep := topic.Handler(func(_ context.Context, e eventmodels.Event[[]string]) error {
				lists[i][e.Offset] = &e.Payload[0]
				return nil
			})
			f.handle(name, "orders", keep.Handle).Concurrency = 1
		}
		tp := at("orders", 0)
		e := f.start(tp)
		e.Pause("two")
		f.produce(tp, 10)
		f.settle(time.Second)
		e.Resume("two")
		f.settle(time.Second)
		f.wantCommitted(tp, 10)
		for offset, first := range lists[0] {
			if first == nil || first != lists[1][offset] {
				t.Errorf("offset %d: the payloads of two handlers are at %p and %p", offset, first, lists[1][offset])
			}
		}
		f.stop()
	})
}

// heldLog lets the log lines with a text wait until they are released.
type heldLog struct {
	slog.Handler
	text    string
	release chan struct{}
}

func (h heldLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) {
		<-h.release
	}
	return h.Handler.Handle(ctx, r)
}

// Who reports an attempt may come to it when the event is long done, and its
// memory would be another one's: reports are right nevertheless.
func TestReportsOutliveTheirEvents(t *testing.T) {
	succeeds := func(context.Context, *eventmodels.Message) error { return nil }
	fails := func(_ context.Context, m *eventmodels.Message) error {
		if m.Offset == 0 && m.Attempt == 1 {
			return errTest
		}
		return nil
	}
	outlives := func(_ context.Context, m *eventmodels.Message) error {
		if m.Offset == 0 {
			time.Sleep(DefaultTimeout + 10*time.Second)
		}
		return nil
	}
	type handle = func(context.Context, *eventmodels.Message) error
	for name, handlers := range map[string][]handle{
		"an earlier attempt's": {fails},
		"another handler's":    {succeeds, fails},
		"the timekeeper's":     {outlives},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				release := make(chan struct{})
				f.cfg.Logger = slog.New(heldLog{f.cfg.Logger.Handler(), "has not returned", release})
				f.cfg.Observer.Failed = func(*Handler, error) { <-release }
				var overdue []string // guarded by f.mu
				f.cfg.Observer.Overdue = func(h *Handler) {
					f.mu.Lock()
					defer f.mu.Unlock()
					overdue = append(overdue, h.Name)
				}
				for i, run := range handlers {
					f.handle(fmt.Sprint("h", i), "orders", run)
				}
				tp := at("orders", 0)
				f.produce(tp, 1)
				f.start(tp)
				f.settle(2 * DefaultTimeout)
				f.wantCommitted(tp, 1)
				f.produce(tp, 50) // they would have the memory
				f.settle(time.Second)
				close(release)
				f.settle(time.Second)
				f.wantCommitted(tp, 51)
				f.stop()
				if logs := f.logs.String(); !strings.Contains(logs, "offset=0 ") {
					t.Errorf("the log has no line of the first event:\n%s", logs)
				}
				if name == "the timekeeper's" && !slices.Equal(overdue, []string{"h0"}) {
					t.Errorf("overdue were %v", overdue)
				}
			})
		})
	}
}
