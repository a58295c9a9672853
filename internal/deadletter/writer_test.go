package deadletter

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
	"github.com/seed46dd6f11/events/internal/mark"
)

// scribe is brokers that take everything.
type scribe struct {
	mu      sync.Mutex
	written []*kafka.Record
}

func (s *scribe) ProducePlaced(_ context.Context, records []*kafka.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, records...)
	return nil
}

func (s *scribe) PartitionCount(context.Context, kafka.WireTopic) (int, error) { return 1, nil }
func (s *scribe) Forget(kafka.WireTopic)                                       {}

// newScribe is a writer for the handler h of the topics orders and audit.
func newScribe(edit func(*WriterConfig)) (*Writer, *scribe) {
	s := new(scribe)
	cfg := WriterConfig{
		Producer: s, Index: NewIndex(nil), Handlers: make(map[EngineHandler]*Handler), Backoff: DefaultBackoff,
		Ensure: func(context.Context, []kafka.WireTopic) error { return nil },
	}
	for _, topic := range []string{"orders", "audit"} {
		cfg.Handlers[EngineHandler{kafka.WireTopic(topic), "h"}] = &Handler{
			Identity: mark.Handler{Group: "g", Name: "h", BaseTopic: topic}, Topic: kafka.WireTopic(topic + ".g.dead-letter"), Mode: letters.Retry,
		}
	}
	if edit != nil {
		edit(&cfg)
	}
	return NewWriter(cfg), s
}

// failedFor is an event of a topic that has failed for good.
func failedFor(topic string, err error) *delivery.Outgoing {
	return &delivery.Outgoing{
		Handler: &delivery.Handler{Name: "h", Topic: topic, WireTopic: kafka.WireTopic(topic)},
		Record:  &kafka.Record{Topic: topic, Key: []byte("k")}, Err: err, Attempts: 1, First: time.Now(), Last: time.Now(),
	}
}

// A dead-letter topic that cannot be created holds the letters of no other.
func TestTopicThatCannotBeCreated(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		name   string
		answer error
		failed []bool
	}{
		{"one", &kafka.TopicError{Topic: "audit.g.dead-letter", Op: "create", Err: refused}, []bool{false, true, false}},
		{"both", errors.Join(&kafka.TopicError{Topic: "audit.g.dead-letter", Err: refused}, &kafka.TopicError{Topic: "orders.g.dead-letter", Err: refused}), []bool{true, true, true}},
		{"closed", kafka.ErrClosed, []bool{true, true, true}},
		{"none", nil, []bool{false, false, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, s := newScribe(func(cfg *WriterConfig) {
				cfg.Ensure = func(context.Context, []kafka.WireTopic) error { return test.answer }
			})
			want := 0
			for i, err := range w.Sink(t.Context(), []*delivery.Outgoing{failedFor("orders", refused), failedFor("audit", refused), failedFor("orders", refused)}) {
				if (err != nil) != test.failed[i] {
					t.Errorf("letter %d: %v", i, err)
				}
				if !test.failed[i] {
					want++
				}
			}
			if len(s.written) != want {
				t.Errorf("%d letters are written, not %d", len(s.written), want)
			}
		})
	}
}

// nilError is the error of a handler that returns a nil pointer as an error.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// What the application's code panics with ends neither the process nor the
// letter.
func TestLetterOfAnErrorThatPanics(t *testing.T) {
	w, s := newScribe(func(cfg *WriterConfig) {
		cfg.Cause = func(string, error) string { panic("a hook") }
	})
	for _, err := range []error{errors.New("plain"), (*nilError)(nil)} {
		if errs := w.Sink(t.Context(), []*delivery.Outgoing{failedFor("orders", err)}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
	if len(s.written) != 2 {
		t.Fatalf("%d letters", len(s.written))
	}
	for i, want := range []letters.Header{{Error: "plain", Cause: Cause("h", errors.New("plain"))}, {Error: "<nil>", Cause: ""}} {
		if h, _, err := letters.Parse(s.written[i].Headers); err != nil || h.Error != want.Error || h.Cause != want.Cause {
			t.Errorf("letter %d: %q, cause %q, %v", i, h.Error, h.Cause, err)
		}
	}
}

// The error says when the letter is tried again; but not at once, since every
// time adds to the log.
func TestLetterWaitsAsAsked(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{0: time.Second, time.Millisecond: time.Second, 10 * time.Second: 10 * time.Second, 99 * time.Hour: 99 * time.Hour} {
		w, s := newScribe(nil)
		if err := errors.Join(w.Sink(t.Context(), []*delivery.Outgoing{failedFor("orders", eventmodels.RetryAfter(errors.New("later"), asked))})...); err != nil {
			t.Fatal(err)
		}
		h, _, err := letters.Parse(s.written[0].Headers)
		if got := h.NotBefore.Sub(h.Last); err != nil || got != want {
			t.Errorf("asked for %v: waits %v, %v", asked, got, err)
		}
	}
}
