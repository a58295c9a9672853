package delivery

import (
	"context"
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
		f.cfg.Decode = func(r *kafka.Record) (*eventmodels.Message, error) {
			return &eventmodels.Message{Headers: map[string][]string{"kept": {"1"}}}, nil
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
