package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func record(topic WireTopic, key, value string) *Record {
	return &Record{Topic: string(topic), Key: []byte(key), Value: []byte(value)}
}

// produce is Produce of records.
func (c *Client) produce(ctx context.Context, records []*Record) error {
	rows := make([]eventmodels.OutboxRow, len(records))
	for i, r := range records {
		rows[i] = rowOf(r)
	}
	return c.Produce(ctx, rows)
}

// recordSize is what a record takes as a batch of its own.
func recordSize(r *Record) int {
	row := rowOf(r)
	return sizeOf(&row)
}

// waiting is how many rows wait for their results.
func (p *producer) waiting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.calls {
		if k != nil {
			n += k.left
		}
	}
	return n
}

func TestProduce(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		a, b := c.topic(t, 3), c.topic(t, 2)
		client := c.client(t)
		var records []*Record
		for i := range 100 {
			records = append(records, record(a, fmt.Sprint("key-", i), "v"), record(b, "", "v"))
		}
		if err := client.produce(timeout(t), records); err != nil {
			t.Fatal(err)
		}
		ends, err := client.EndOffsets(timeout(t), []WireTopic{a, b})
		if err != nil {
			t.Fatal(err)
		}
		counts := make(map[WireTopic]int64)
		for tp, end := range ends {
			counts[tp.Topic] += end
		}
		if counts[a] != 100 || counts[b] != 100 {
			t.Errorf("records in the topics: %v", counts)
		}
		if err := client.produce(timeout(t), nil); err != nil {
			t.Errorf("nothing to produce: %v", err)
		}
	})
}

// The hashes are what Java's Utils.murmur2 gives.
func TestProducePartitions(t *testing.T) {
	hashes := map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	}
	c := embedded(t, eventembed.Topics(7, "t"))
	client := c.client(t)
	end := func(tp TopicPartition) int64 {
		ends, err := client.EndOffsets(timeout(t), []WireTopic{"t"})
		if err != nil {
			t.Fatal(err)
		}
		return ends[tp]
	}
	for key, hash := range hashes {
		place := TopicPartition{"t", (hash & 0x7fffffff) % 7}
		before := end(place)
		if err := client.produce(timeout(t), []*Record{record("t", key, "")}); err != nil {
			t.Fatal(err)
		}
		if end(place) != before+1 {
			t.Errorf("key %q is not in %v, where Java puts it", key, place)
		}
	}
}

func TestProduceEndsWithContext(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	client := c.client(t)
	if err := client.produce(timeout(t), []*Record{record("t", "k", "first")}); err != nil {
		t.Fatal(err)
	}
	stall := c.embed.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}})
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 2)
	go func() { result <- client.produce(ctx, []*Record{record("t", "k", "in flight")}) }()
	if err := stall.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	// This one is behind the first in the partition.
	other := make(chan error, 1)
	go func() { other <- client.produce(timeout(t), []*Record{record("t", "k", "other")}) }()
	eventually(t, "the other is buffered", func() bool { return client.producer.waiting() == 2 })
	go func() { result <- client.produce(ctx, []*Record{record("t", "k", "not sent")}) }()
	eventually(t, "the third is buffered", func() bool { return client.producer.waiting() == 3 })

	cancel()
	for range 2 {
		if err := receive(t, "the ended call's return", result); !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
	}
	stall.Remove()
	if err := receive(t, "the other call's return", other); err != nil {
		t.Errorf("the other call: %v", err)
	}
	if err := client.produce(timeout(t), []*Record{record("t", "k", "last")}); err != nil {
		t.Errorf("a later call: %v", err)
	}
	eventually(t, "nothing is buffered", func() bool { return client.producer.waiting() == 0 })
	records, err := c.embed.Records("t")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(stored(records)); got != "[first in flight other last]" {
		t.Errorf("written are %v", got)
	}
}

func TestProduceForeignCancellation(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	client := c.client(t)
	if err := client.produce(timeout(t), []*Record{record("t", "k", "first")}); err != nil {
		t.Fatal(err)
	}
	if err := c.embed.Cut(); err != nil {
		t.Fatal(err)
	}
	other := make(chan error, 1)
	var cancels []context.CancelFunc
	results := make(chan error, 10)
	for range 10 {
		ctx, cancel := context.WithCancel(context.Background())
		cancels = append(cancels, cancel)
		go func() { results <- client.produce(ctx, []*Record{record("t", "k", "cancelled")}) }()
	}
	eventually(t, "all are buffered", func() bool { return client.producer.waiting() == 10 })
	go func() { other <- client.produce(timeout(t), []*Record{record("t", "k", "kept")}) }()
	eventually(t, "the other is, too", func() bool { return client.producer.waiting() == 11 })
	for _, cancel := range cancels {
		cancel()
		if err := receive(t, "a cancelled call", results); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled call: %v", err)
		}
	}
	if err := c.embed.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "the other call's return", other); err != nil {
		t.Errorf("the other call: %v", err)
	}
}

func TestProduceWhileBrokersAreAway(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		known, fresh := c.topic(t, 1), c.topic(t, 1)
		dialer := testDialer()
		var dials atomic.Int64
		client := c.client(t, func(cfg *Config) {
			cfg.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return dialer.DialContext(ctx, network, address)
			}
		})
		if err := client.produce(timeout(t), []*Record{record(known, "k", "v")}); err != nil {
			t.Fatal(err)
		}
		dialer.Cut()
		short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if err := client.produce(short, []*Record{record(known, "k", "lost"), record(fresh, "k", "lost")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline: %v", err)
		}
		result := make(chan error, 1)
		go func() {
			result <- client.produce(timeout(t), []*Record{record(known, "k", "v"), record(fresh, "k", "v")})
		}()
		tried := dials.Load() + 8
		eventually(t, "it tries to connect", func() bool { return dials.Load() >= tried })
		select {
		case err := <-result:
			t.Errorf("it did not wait: %v", err)
		default:
		}
		dialer.Restore()
		if err := receive(t, "produced after the brokers came back", result); err != nil {
			t.Error(err)
		}
	})
}

func TestProduceToRecreatedTopic(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		client := c.client(t)
		if err := client.produce(timeout(t), []*Record{record(topic, "k", "old")}); err != nil {
			t.Fatal(err)
		}
		c.delete(t, topic)
		if err := client.produce(timeout(t), []*Record{record(topic, "k", "none")}); !errors.Is(err, ErrUnknownTopic) {
			t.Errorf("while it does not exist: %v", err)
		}
		c.create(t, topic, 1)
		var calls sync.WaitGroup
		for i := range 10 {
			calls.Go(func() {
				if err := client.produce(timeout(t), []*Record{record(topic, fmt.Sprint(i), "new")}); err != nil {
					t.Errorf("after it was created again: %v", err)
				}
			})
		}
		calls.Wait()
		if err := client.produce(timeout(t), []*Record{record(topic, "k", "new")}); err != nil {
			t.Errorf("later: %v", err)
		}
		ends, err := client.EndOffsets(timeout(t), []WireTopic{topic})
		if err != nil || ends[TopicPartition{topic, 0}] != 11 {
			t.Errorf("records in the new topic: %v, %v", ends, err)
		}
	})
}

// A topic that is replaced while many produce: no call fails for good when it
// is there.
func TestProduceWhileTopicIsReplaced(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 2)
		client := c.client(t)
		if err := client.produce(timeout(t), []*Record{record(topic, "k", "old")}); err != nil {
			t.Fatal(err)
		}
		c.delete(t, topic)
		c.create(t, topic, 2)
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				for range 5 {
					if err := client.produce(timeout(t), []*Record{record(topic, fmt.Sprint(i), "new")}); err != nil {
						t.Errorf("after it was created again: %v", err)
						return
					}
				}
			})
		}
		calls.Wait()
	})
}

func TestProduceWaitsForRoom(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	client := c.client(t, func(cfg *Config) { cfg.MaxBufferedRecords = 2 })
	stall := c.embed.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}})
	result := make(chan error, 1)
	go func() {
		result <- client.produce(timeout(t), []*Record{record("t", "1", ""), record("t", "2", ""), record("t", "3", "")})
	}()
	if err := stall.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan error, 1)
	go func() { waiting <- client.produce(ctx, []*Record{record("t", "4", "")}) }()
	cancel()
	if err := receive(t, "the waiting call's return", waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	stall.Remove()
	if err := receive(t, "the call's return", result); err != nil {
		t.Error(err)
	}
}

func TestProduceAfterClose(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	client := c.client(t)
	stall := c.embed.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}})
	result := make(chan error, 1)
	go func() { result <- client.produce(timeout(t), []*Record{record("t", "k", "")}) }()
	if err := stall.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	client.Close()
	client.Close()
	if err := receive(t, "the call's return", result); !errors.Is(err, ErrClosed) {
		t.Errorf("under way: %v", err)
	}
	if err := client.produce(timeout(t), []*Record{record("t", "k", "")}); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
	if err := client.produce(timeout(t), []*Record{record("other", "k", "")}); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards, another topic: %v", err)
	}
	if err := client.EnsureTopics(timeout(t), []TopicSpec{{Topic: "other"}}); !errors.Is(err, ErrClosed) {
		t.Errorf("topics afterwards: %v", err)
	}
}
