package recordbatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A log is a topic with one partition, at a broker that verifies what it is
// sent.
type log struct {
	t       *testing.T
	ctx     context.Context
	client  *kgo.Client
	topic   string
	topicID [16]byte
	leader  int32
}

func newLog(t *testing.T, brokers []string) *log {
	l := &log{t: t, topic: "recordbatch-" + uuid.NewString()}
	var cancel context.CancelFunc
	l.ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(l.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	l.client = client

	admin := kadm.NewClient(client)
	forever := fmt.Sprint(math.MaxInt64) // the samples are of all times
	if _, err := admin.CreateTopic(l.ctx, 1, 1, map[string]*string{
		"message.timestamp.type":          kadm.StringPtr("CreateTime"),
		"message.timestamp.after.max.ms":  &forever,
		"message.timestamp.before.max.ms": &forever,
		"retention.ms":                    kadm.StringPtr("-1"),
	}, l.topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.DeleteTopic(l.ctx, l.topic) })
	for { // until the topic has a leader
		metadata, err := admin.Metadata(l.ctx, l.topic)
		if err != nil {
			t.Fatal(err)
		}
		topic := metadata.Topics[l.topic]
		if p, ok := topic.Partitions[0]; ok && topic.Err == nil && p.Err == nil && p.Leader >= 0 {
			l.topicID, l.leader = topic.ID, p.Leader
			return l
		}
	}
}

// producer returns an identity that nobody has.
func (l *log) producer() Producer {
	l.t.Helper()
	response, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(l.ctx, l.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return Producer{ID: response.ProducerID, Epoch: response.ProducerEpoch}
}

// produce sends the batch, and returns the offset that it got.
func (l *log) produce(batch []byte) (int64, error) {
	l.t.Helper()
	request := kmsg.NewPtrProduceRequest()
	request.Acks = -1
	request.TimeoutMillis = 10_000
	request.Topics = []kmsg.ProduceRequestTopic{{
		Topic:   l.topic,
		TopicID: l.topicID,
		Partitions: []kmsg.ProduceRequestTopicPartition{{
			Records: batch,
		}},
	}}
	response, err := l.client.Broker(int(l.leader)).RetriableRequest(l.ctx, request)
	if err != nil {
		l.t.Fatal(err)
	}
	partition := response.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return partition.BaseOffset, kerr.ErrorForCode(partition.ErrorCode)
}

// consume returns the first n records.
func (l *log) consume(n int) (records []*kgo.Record) {
	l.t.Helper()
	for len(records) < n {
		fetches := l.client.PollFetches(l.ctx)
		if err := fetches.Err(); err != nil {
			l.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func TestBroker(t *testing.T) {
	t.Run("kfake", func(t *testing.T) {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		// kfake has 0 follow 2^31-2, and not 2^31-1 as Kafka does, so that
		// the batch after one that wraps around is refused.
		testBroker(newLog(t, cluster.ListenAddrs()), []int{4})
	})
	t.Run("kafka", func(t *testing.T) {
		brokers := os.Getenv("EVENTS_KAFKA_BROKERS")
		if brokers == "" {
			if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "kafka") {
				t.Fatal("EVENTS_KAFKA_BROKERS is not set, and EVENTS_REQUIRE wants Kafka")
			}
			t.Skip("no real Kafka: EVENTS_KAFKA_BROKERS is not set; scripts/services up starts one")
		}
		testBroker(newLog(t, strings.Split(brokers, ",")), []int{4, 1, 7})
	})
}

// testBroker sends batches of all kinds, among them batches of the sizes wrap
// from the sequence number 2^31-2 on, and consumes them.
func testBroker(l *log, wrap []int) {
	t := l.t
	var want []Record
	send := func(batch []byte, wantOffset int) {
		t.Helper()
		if offset, err := l.produce(batch); err != nil || offset != int64(wantOffset) {
			t.Fatalf("offset %d, error %v; want the offset %d", offset, err, wantOffset)
		}
	}

	// A producer, batch after batch, each of them twice: the second one is
	// recognised by its producer, epoch and sequence numbers. In the next
	// epoch they begin with 0 again.
	p := l.producer()
	var sequence int32
	for range 2 {
		p.Epoch++
		sequence = 0
		for c := None; c <= Zstd; c++ {
			batch := mustAppend(t, p, sequence, samples(), c)
			send(batch, len(want))
			send(batch, len(want))
			want = append(want, samples()...)
			sequence = NextSequence(sequence, len(samples()))
		}
	}
	old := Producer{ID: p.ID, Epoch: p.Epoch - 1}
	if _, err := l.produce(mustAppend(t, old, sequence, samples(), None)); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Errorf("the epoch before: %v", err)
	}
	if _, err := l.produce(mustAppend(t, p, sequence+1, samples(), None)); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("a sequence number that leaves one out: %v", err)
	}

	// Brokers that know nothing of a producer take any sequence number.
	p = l.producer()
	sequence = math.MaxInt32 - 1
	for _, n := range wrap {
		for i := range n {
			want = append(want, Record{Value: fmt.Append(nil, sequence, " ", i), Timestamp: noon})
		}
		batch := mustAppend(t, p, sequence, want[len(want)-n:], Snappy)
		send(batch, len(want)-n)
		send(batch, len(want)-n)
		sequence = NextSequence(sequence, n)
	}

	// Without producer everything is appended.
	for range 2 {
		send(mustAppend(t, NoProducer, NoSequence, samples(), LZ4), len(want))
		want = append(want, samples()...)
	}
	compare(t, l.consume(len(want)), want)
}
