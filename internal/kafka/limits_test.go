package kafka

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLimits(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "plain"))
	if err := c.embed.CreateTopic("own", 1, map[string]string{"max.message.bytes": "12345"}); err != nil {
		t.Fatal(err)
	}
	client := c.client(t)
	seen := c.embed.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}})
	for topic, want := range map[WireTopic]int{"plain": DefaultMaxMessageBytes, "own": 12345} {
		if _, ok := client.CachedLimit(topic); ok {
			t.Errorf("%s: known before it was read", topic)
		}
		for range 3 {
			if limit, err := client.Limits(timeout(t), topic); err != nil || limit != want {
				t.Errorf("%s: %d, %v", topic, limit, err)
			}
		}
		if limit, ok := client.CachedLimit(topic); !ok || limit != want {
			t.Errorf("%s: kept is %d, %v", topic, limit, ok)
		}
	}
	if n := seen.Hits(); n != 2 {
		t.Errorf("%d requests for 2 topics", n)
	}
	if _, err := client.Limits(timeout(t), "none"); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("a topic that does not exist: %v", err)
	}
}

func TestLimitsRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(*eventembed.Broker, eventembed.Match)
	}{
		{"by an answer", func(b *eventembed.Broker, m eventembed.Match) { b.Fail(m, kerr.ClusterAuthorizationFailed) }},
		{"of the topic", func(b *eventembed.Broker, m eventembed.Match) { b.Fail(m, kerr.TopicAuthorizationFailed) }},
		{"by hanging up", func(b *eventembed.Broker, m eventembed.Match) { b.Drop(m) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := embedded(t, eventembed.Topics(1, "a", "b"))
			test.fault(c.embed, eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}})
			var log logged
			client := c.client(t, func(cfg *Config) { cfg.Logger = log.logger(slog.LevelWarn) })
			for range 50 {
				for _, topic := range []WireTopic{"a", "b"} {
					if limit, err := client.Limits(timeout(t), topic); err != nil || limit != DefaultMaxMessageBytes {
						t.Fatalf("%s: %d, %v", topic, limit, err)
					}
					if err := client.produce(timeout(t), []*Record{record(topic, "k", "v")}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := strings.Count(log.String(), "how large records may be"); n != 1 {
				t.Errorf("%d log lines:\n%s", n, log.String())
			}
		})
	}
}

// A broker that is silent has not refused to say how large records may be: what
// it would have said is not taken for Kafka's default, which would stay.
func TestLimitsOfASilentBroker(t *testing.T) {
	c := embedded(t)
	if err := c.embed.CreateTopic("own", 1, map[string]string{"max.message.bytes": "12345"}); err != nil {
		t.Fatal(err)
	}
	client := c.client(t, func(cfg *Config) { cfg.RequestTimeout, cfg.RetryTimeout = 100*time.Millisecond, 10*time.Millisecond })
	stall := c.embed.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}, Count: 1})
	defer stall.Remove()
	if limit, err := client.Limits(timeout(t), "own"); err != nil || limit != 12345 || stall.Hits() != 1 {
		t.Errorf("limit %d, %v, after %d questions without an answer", limit, err, stall.Hits())
	}
}
