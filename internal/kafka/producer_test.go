package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
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

func TestProduceErrorPerRecord(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		good, missing := c.topic(t, 1), newName("missing")
		client := c.client(t)
		long := strings.Repeat("k", 200)
		err := client.produce(timeout(t), []*Record{
			record(good, "a", "1"),
			record(missing, "b\x00\xff", "2"),
			record(good, "c", "3"),
			{Topic: string(missing), Value: []byte("4")},
			record(missing, long, "5"),
		})
		var produce *ProduceError
		if !errors.As(err, &produce) || len(produce.Failed) != 3 {
			t.Fatalf("error: %v", err)
		}
		for i, index := range []int{1, 3, 4} {
			if f := produce.Failed[i]; f.Index != index || f.Topic != missing || !errors.Is(f.Err, ErrUnknownTopic) {
				t.Errorf("failure %d: %+v", i, f)
			}
		}
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Errorf("errors.Is does not look into %v", err)
		}
		for _, part := range []string{string(missing), `"b\x00\xff"`, "(none)", `"` + long[:64] + `"...`} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
		ends, err := client.EndOffsets(timeout(t), []WireTopic{good})
		if err != nil || ends[TopicPartition{good, 0}] != 2 {
			t.Errorf("the others: %v, %v", ends, err)
		}
	})
}

func TestProduceRefusedByBroker(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "a", "b"))
	c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: "a"}, kerr.TopicAuthorizationFailed)
	client := c.client(t)
	err := client.produce(timeout(t), []*Record{record("a", "1", ""), record("b", "2", "")})
	var produce *ProduceError
	if !errors.As(err, &produce) || len(produce.Failed) != 1 || produce.Failed[0].Topic != "a" || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Fatalf("error: %v", err)
	}
}

func TestProduceUpToLimit(t *testing.T) {
	for _, compression := range []Compression{NoCompression, Snappy} {
		t.Run(string(compression), func(t *testing.T) {
			onClusters(t, func(t *testing.T, c *cluster) {
				const limit = 5000
				topic := c.topic(t, 1, "max.message.bytes", fmt.Sprint(limit))
				client := c.client(t, func(cfg *Config) { cfg.Compression = compression })
				sized := func(size int) *Record {
					r := &Record{Topic: string(topic), Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
					r.Value = make([]byte, size-200) // its length takes as many bytes as the wanted one
					r.Value = make([]byte, len(r.Value)+size-recordSize(r))
					_, _ = rand.Read(r.Value) // cannot be compressed
					if recordSize(r) != size {
						t.Fatalf("made %d bytes instead of %d", recordSize(r), size)
					}
					return r
				}
				batch := func(size int) []*Record {
					return []*Record{sized(300), sized(4000), sized(size), sized(1000), sized(3000)}
				}
				if err := client.produce(timeout(t), batch(limit)); err != nil {
					t.Fatalf("at the limit: %v", err)
				}
				err := client.produce(timeout(t), batch(limit+1))
				var tooBig *TooBigError
				if !errors.As(err, &tooBig) || !errors.Is(err, ErrTooBig) {
					t.Fatalf("above the limit: %v", err)
				}
				if tooBig.Topic != topic || string(tooBig.Key) != "k" || tooBig.Size != limit+1 || tooBig.Limit != limit {
					t.Errorf("%+v", tooBig)
				}
				if n := len(err.(*ProduceError).Failed); n != 1 {
					t.Errorf("%d records failed: %v", n, err)
				}
			})
		})
	}
}

// The broker agrees: one byte more than sizeOf says is refused by Kafka.
func TestSizeIsKafkas(t *testing.T) {
	c := realKafka(t)
	topic := c.topic(t, 1, "max.message.bytes", "3000")
	plain, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	r := &Record{Topic: string(topic), Value: make([]byte, 2900)}
	r.Value = make([]byte, 2900+3000-recordSize(r))
	if err := plain.ProduceSync(timeout(t), r).FirstErr(); err != nil {
		t.Fatalf("%d bytes: %v", recordSize(r), err)
	}
	r = &Record{Topic: string(topic), Value: append(r.Value, 0)}
	if err := plain.ProduceSync(timeout(t), r).FirstErr(); !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatalf("%d bytes: %v", recordSize(r), err)
	}
}

func TestProduceAfterLimitWasLowered(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1, "max.message.bytes", "10000")
		client := c.client(t, func(cfg *Config) { cfg.Compression = NoCompression })
		if err := client.produce(timeout(t), []*Record{record(topic, "k", "v")}); err != nil {
			t.Fatal(err)
		}
		value := "2000"
		set := "max.message.bytes"
		if _, err := c.adm.AlterTopicConfigs(timeout(t), alter(set, value), string(topic)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the brokers apply the limit", func() bool {
			r := &kgo.Record{Topic: string(topic), Value: make([]byte, 4000)}
			_, _ = rand.Read(r.Value)
			return errors.Is(c.kgo.ProduceSync(timeout(t), r).FirstErr(), kerr.MessageTooLarge)
		})
		small := strings.Repeat("s", 1500)
		err := client.produce(timeout(t), []*Record{
			record(topic, "1", small), record(topic, "2", small), record(topic, "big", strings.Repeat("b", 4000)), record(topic, "3", small),
		})
		var tooBig *TooBigError
		if !errors.As(err, &tooBig) || tooBig.Limit != 2000 || string(tooBig.Key) != "big" {
			t.Fatalf("error: %v", err)
		}
		if n := len(err.(*ProduceError).Failed); n != 1 {
			t.Errorf("%d records failed: %v", n, err)
		}
		if limit, ok := client.CachedLimit(topic); !ok || limit != 2000 {
			t.Errorf("the limit kept is %d, %v", limit, ok)
		}
	})
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

func TestQuoteKey(t *testing.T) {
	for _, test := range []struct {
		key  []byte
		want string
	}{
		{nil, "(none)"},
		{[]byte{}, `""`},
		{[]byte("a\n\xff"), `"a\n\xff"`},
		{bytes.Repeat([]byte("x"), 64), `"` + strings.Repeat("x", 64) + `"`},
		{bytes.Repeat([]byte("x"), 65), `"` + strings.Repeat("x", 64) + `"...`},
	} {
		if got := quoteKey(test.key); got != test.want {
			t.Errorf("%q: %s", test.key, got)
		}
	}
}
