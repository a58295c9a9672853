package lanes_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestMissingTopicIsCreated once, however many rows wait for it.
func TestMissingTopicIsCreated(t *testing.T) {
	b := embed(t)
	calls := make(chan string, 100)
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) {
		cfg.EnsureTopic = func(_ context.Context, topic string) error {
			calls <- topic
			return b.CreateTopic(topic, 3, nil)
		}
	})
	rows := keyed("new", 100, 10)
	for i := range 10 {
		r.send(rows[i*10 : i*10+10]...)
	}
	r.settled()
	stored(t, must[[]*kgo.Record](t)(b.Records("new")), rows)
	if len(calls) != 1 || r.holds > 0 {
		t.Errorf("EnsureTopic was called %d times; held %d times", len(calls), r.holds)
	}
}

// TestMissingTopicCannotBeCreated: it alone is held, tried again, and goes out
// once it exists.
func TestMissingTopicCannotBeCreated(t *testing.T) {
	refused := errors.New("refused")
	for name, ensure := range map[string]func(context.Context, string) error{
		"no EnsureTopic":     nil,
		"EnsureTopic fails":  func(context.Context, string) error { return refused },
		"EnsureTopic blocks": func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			b := embed(t, eventembed.Topics(1, "good"))
			r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) {
				cfg.EnsureTopic = ensure
			})
			missing, good := keyed("missing", 100, 5), keyed("good", 100, 5)
			r.send(missing[:50]...)
			r.send(good...)
			r.ackedOf("good", 100)
			r.until("the missing topic is held", func() bool { return r.held["missing"] != nil && len(r.back["missing"]) == 50 })
			if err := r.held["missing"]; name == "EnsureTopic fails" && !errors.Is(err, refused) || ensure == nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
				t.Errorf("held with %v", err)
			}
			r.send(missing[50:]...)
			if s := r.sender.Stats(); s.Rows != 0 {
				t.Errorf("%d rows are kept", s.Rows)
			}
			check(t, b.CreateTopic("missing", 2, nil))
			r.settled()
			stored(t, must[[]*kgo.Record](t)(b.Records("missing")), missing)
		})
	}
}

// TestTopicDeleted: it is created again when the next row comes.
func TestTopicDeleted(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) {
		cfg.EnsureTopic = func(_ context.Context, topic string) error { return b.CreateTopic(topic, 2, nil) }
	})
	r.send(keyed("a", 10, 2)...)
	r.settled()
	check(t, b.DeleteTopic("a"))
	rows := keyed("a", 10, 2)
	r.send(rows...)
	r.settled()
	stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows)
}

// TestTopicMayNotBeDescribed is held with the reason.
func TestTopicMayNotBeDescribed(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.HoldAfter = 3600e9 })
	fault := b.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Metadata}, Topic: "a"}, kerr.TopicAuthorizationFailed)
	rows := keyed("a", 10, 2)
	r.send(rows...)
	r.until("it is held", func() bool { return errors.Is(r.held["a"], kerr.TopicAuthorizationFailed) })
	fault.Remove()
	r.settled()
	stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows)
}
