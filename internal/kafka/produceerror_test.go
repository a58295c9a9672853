package kafka

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

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

// The limit that has become another is asked for once, however many records are
// above it, and what is to be said about them does not wait for the answer.
func TestTooBigAsksOnce(t *testing.T) {
	const silence = 300 * time.Millisecond
	c := embedded(t)
	topic := c.topic(t, 1, "max.message.bytes", "10000")
	client := c.client(t, func(cfg *Config) { cfg.Compression, cfg.RequestTimeout = NoCompression, silence })
	if err := client.produce(timeout(t), []*Record{record(topic, "k", "v")}); err != nil {
		t.Fatal(err)
	}
	questions := eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}}
	tooBig := func(limit int) {
		t.Helper()
		var records []*Record
		for i := range 5 {
			records = append(records, record(topic, fmt.Sprint(i), strings.Repeat("b", 4000)))
		}
		var failed *ProduceError
		if err := client.produce(timeout(t), records); !errors.As(err, &failed) || len(failed.Failed) != len(records) {
			t.Fatalf("error: %v", err)
		}
		for _, f := range failed.Failed {
			var big *TooBigError
			if !errors.As(f.Err, &big) || big.Limit != limit {
				t.Errorf("record %d: %v, want the limit %d", f.Index, f.Err, limit)
			}
		}
	}
	if _, err := c.adm.AlterTopicConfigs(timeout(t), alter("max.message.bytes", "2000"), string(topic)); err != nil {
		t.Fatal(err)
	}
	silent := c.embed.Stall(questions)
	tooBig(10_000)
	silent.Remove()
	if _, err := client.Limits(timeout(t), topic); err != nil {
		t.Fatal(err)
	}
	if _, err := c.adm.AlterTopicConfigs(timeout(t), alter("max.message.bytes", "1000"), string(topic)); err != nil {
		t.Fatal(err)
	}
	client.limit.flights.mu.Lock()
	client.limit.flights.known[topic] = learnt{10_000, time.Now()} // as if it had not changed since
	client.limit.flights.mu.Unlock()
	asked := c.embed.Observe(questions)
	tooBig(1000)
	if n := asked.Hits(); n != 1 {
		t.Errorf("the brokers were asked %d times for one limit", n)
	}
}
