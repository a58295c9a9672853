package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// callers produce, each the events of a key of its own, one after the other. Every
// fourth call ends early.
type callers struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[string]bool
}

func (c *callers) start(t *testing.T, client *Client, topic WireTopic) {
	const keys, each = 16, 40
	c.acked = make(map[string]bool)
	for key := range keys {
		c.wg.Go(func() {
			for n := range each {
				ctx, cancel := context.WithTimeout(context.Background(), testTime)
				if n%4 == 3 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(n)*100*time.Microsecond)
				}
				value := fmt.Sprintf("%02d-%03d", key, n)
				err := client.produce(ctx, []*Record{record(topic, fmt.Sprint(key), value)})
				cancel()
				switch {
				case err == nil:
					c.mu.Lock()
					c.acked[value] = true
					c.mu.Unlock()
				case n%4 != 3 || !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("event %s: %v", value, err)
				}
			}
		})
	}
}

// check compares what is stored: everything that was acknowledged, nothing twice,
// and a key's events in their order, also those of calls that have ended early.
func (c *callers) check(t *testing.T, stored []string) {
	t.Helper()
	seen := make(map[string]bool)
	last := make(map[string]string)
	for _, v := range stored {
		if seen[v] {
			t.Errorf("event %s is stored twice", v)
		}
		seen[v] = true
		key, _, _ := strings.Cut(v, "-")
		if v < last[key] {
			t.Errorf("event %s comes after %s", v, last[key])
		}
		last[key] = v
	}
	for v := range c.acked {
		if !seen[v] {
			t.Errorf("event %s was acknowledged, and is not stored", v)
		}
	}
}

func stored(records []*kgo.Record) []string {
	slices.SortStableFunc(records, func(a, b *kgo.Record) int {
		return int(a.Partition-b.Partition)*1_000_000 + int(a.Offset-b.Offset)
	})
	values := make([]string, len(records))
	for i, r := range records {
		values[i] = string(r.Value)
	}
	return values
}

// Leaders move, answers are lost, brokers answer with errors that pass.
func TestProduceThroughFaults(t *testing.T) {
	c := embedded(t, eventembed.Brokers(3), eventembed.Topics(4, "t"))
	client := c.client(t)
	var calls callers
	calls.start(t, client, "t")
	produce := []kmsg.Key{kmsg.Produce}
	for round := range 12 {
		node := int32(round % 3)
		if err := c.embed.MoveLeader("t", int32(round%4), node); err != nil {
			t.Fatal(err)
		}
		c.embed.DropResponse(eventembed.Match{Requests: produce, Count: 2})
		c.embed.Fail(eventembed.Match{Requests: produce, Partitions: []int32{int32(round % 4)}, Count: 1},
			[]*kerr.Error{kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition}[round%3])
		if err := c.embed.Cut(node); err != nil {
			t.Fatal(err)
		}
		if err := c.embed.Restore(node); err != nil {
			t.Fatal(err)
		}
	}
	calls.wg.Wait()
	if err := client.produce(timeout(t), []*Record{record("t", "last", "last-")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is on its way", func() bool { return client.producer.waiting() == 0 })
	records, err := c.embed.Records("t")
	if err != nil {
		t.Fatal(err)
	}
	calls.check(t, stored(records))
}

// Connections to a real broker break while requests are on their way.
func TestProduceThroughLostConnections(t *testing.T) {
	c := realKafka(t)
	topic := c.topic(t, 4)
	dialer := testDialer()
	client := c.client(t, func(cfg *Config) { cfg.Dialer = dialer.DialContext })
	var calls callers
	calls.start(t, client, topic)
	done := make(chan struct{})
	go func() { calls.wg.Wait(); close(done) }()
	for produced := 0; ; produced += 60 {
		eventually(t, "some are acknowledged", func() bool {
			select {
			case <-done:
				return true
			default:
			}
			calls.mu.Lock()
			defer calls.mu.Unlock()
			return len(calls.acked) >= produced
		})
		select {
		case <-done:
		default:
			dialer.Cut()
			dialer.Restore()
			continue
		}
		break
	}
	eventually(t, "nothing is on its way", func() bool { return client.producer.waiting() == 0 })
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(string(topic)))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ends, err := client.EndOffsets(timeout(t), []WireTopic{topic})
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, end := range ends {
		want += end
	}
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := reader.PollFetches(timeout(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	calls.check(t, stored(records))
}

// A sequence that the broker does not know any more is begun anew.
func TestProduceGoesOnWithAnotherEpoch(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch} {
		t.Run(e.Message, func(t *testing.T) {
			c := embedded(t, eventembed.Topics(1, "t"))
			client := c.client(t)
			ids := c.embed.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}})
			for i := range 3 {
				refused := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Count: i % 2}, e)
				if i%2 == 0 {
					refused.Remove()
				}
				if err := client.produce(timeout(t), []*Record{record("t", "k", fmt.Sprint(i))}); err != nil {
					t.Fatal(err)
				}
				if i%2 == 1 && refused.Hits() != 1 {
					t.Errorf("%d requests were refused", refused.Hits())
				}
			}
			if ids.Hits() != 1 {
				t.Errorf("the brokers were asked for %d identities, the next epoch does", ids.Hits())
			}
			records, err := c.embed.Records("t")
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(stored(records)); got != "[0 1 2]" {
				t.Errorf("stored are %s", got)
			}
		})
	}
}

// Without the right to produce there is an error, and not a wait.
func TestProduceWithoutIdentity(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	client := c.client(t)
	refused := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}}, kerr.ClusterAuthorizationFailed)
	if err := client.produce(timeout(t), []*Record{record("t", "k", "")}); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Errorf("error: %v", err)
	}
	refused.Remove()
	passing := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}, Count: 1}, kerr.CoordinatorNotAvailable)
	if err := client.produce(timeout(t), []*Record{record("t", "k", "")}); err != nil || passing.Hits() != 1 {
		t.Errorf("error: %v after %d refusals", err, passing.Hits())
	}
}

// Whoever waits for the first identity when the client is closed is told so.
func TestCloseWhileThereIsNoIdentity(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	client := c.client(t)
	if _, err := client.Limits(timeout(t), "t"); err != nil {
		t.Fatal(err)
	}
	refused := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}}, kerr.CoordinatorNotAvailable)
	result := make(chan error, 1)
	go func() { result <- client.produce(timeout(t), []*Record{record("t", "k", "")}) }()
	eventually(t, "the brokers are asked", func() bool { return refused.Hits() > 0 })
	client.Close()
	if err := receive(t, "the call's return", result); !errors.Is(err, ErrClosed) {
		t.Errorf("error: %v", err)
	}
}

// When the epochs of a producer id are used up there is another id, although the
// brokers do not give one at once: callers wait for it.
func TestEpochsAreUsedUp(t *testing.T) {
	c := embedded(t)
	client := c.client(t)
	refused := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}, Count: 2}, kerr.ClusterAuthorizationFailed)
	last := lanes.Identity{ProducerID: 1 << 40, Epoch: math.MaxInt16}
	if id, ok := client.producer.successor(last); !ok || id.ProducerID == last.ProducerID || id.Epoch != 0 || refused.Hits() != 2 {
		t.Errorf("%v comes after %v, %v, after %d refusals", id, last, ok, refused.Hits())
	}
}
