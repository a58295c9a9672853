package eventembed_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestTopics(t *testing.T) {
	b := start(t)
	if err := b.CreateTopic("orders", 2, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	first, ok := b.TopicID("orders")
	if !ok {
		t.Fatal("the topic has no id")
	}
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	err := cl.ProduceSync(within(t), &kgo.Record{Topic: "orders", Value: make([]byte, 3000)}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("max.message.bytes: got %v", err)
	}
	if err := b.AddPartitions("orders", 3); err != nil {
		t.Fatal(err)
	}
	cl.ForceMetadataRefresh()
	for _, p := range []int32{4, 4, 1} {
		produceTo(t, b, "orders", p, "x")
	}
	ends, err := b.EndOffsets("orders")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "partitions", len(ends), 5)
	expect(t, "end of 4", ends[4], 2)
	expect(t, "end of 1", ends[1], 1)
	expect(t, "end of 0", ends[0], 0)

	if err := b.DeleteRecords("orders", 4, 1); err != nil {
		t.Fatal(err)
	}
	partitions, err := b.Partitions("orders")
	if err != nil {
		t.Fatal(err)
	}
	p := partitions[4]
	if p.ID != 4 || p.Start != 1 || p.End != 2 || p.Stable != 2 || p.Bytes == 0 {
		t.Errorf("got %+v", p)
	}
	if err := b.DeleteRecords("orders", 1, -1); err != nil {
		t.Fatal(err)
	}
	records, err := b.Records("orders")
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 || records[0].Partition != 4 || records[0].Offset != 1 || records[0].Topic != "orders" {
		t.Errorf("got %v", records)
	}

	if err := b.DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.TopicID("orders"); ok {
		t.Error("a deleted topic has an id")
	}
	if err := b.CreateTopic("orders", 1, nil); err != nil {
		t.Fatal(err)
	}
	if again, _ := b.TopicID("orders"); again == first {
		t.Error("the new topic has the old one's id")
	}
}

// produceTo writes one record to a partition, with a client that has not seen
// the topic before.
func produceTo(t *testing.T, b *eventembed.Broker, topic string, partition int32, value string) {
	t.Helper()
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(value)}
	if err := cl.ProduceSync(within(t), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestTopicErrors(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	_, partitionsErr := b.Partitions("none")
	_, endsErr := b.EndOffsets("none")
	_, recordsErr := b.Records("none")
	for _, c := range []struct {
		what string
		got  error
		want error
	}{
		{"create again", b.CreateTopic("orders", 1, nil), kerr.TopicAlreadyExists},
		{"create without partitions", b.CreateTopic("new", 0, nil), kerr.InvalidPartitions},
		{"create with an illegal name", b.CreateTopic("a b", 1, nil), kerr.InvalidTopicException},
		{"delete", b.DeleteTopic("none"), kerr.UnknownTopicOrPartition},
		{"add partitions", b.AddPartitions("none", 1), kerr.UnknownTopicOrPartition},
		{"delete records", b.DeleteRecords("none", 0, 1), kerr.UnknownTopicOrPartition},
		{"delete records above the end", b.DeleteRecords("orders", 0, 1), kerr.OffsetOutOfRange},
		{"partitions", partitionsErr, kerr.UnknownTopicOrPartition},
		{"end offsets", endsErr, kerr.UnknownTopicOrPartition},
		{"records", recordsErr, kerr.UnknownTopicOrPartition},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	if b.MoveLeader("orders", 0, 7) == nil || b.MoveLeader("orders", 7, 0) == nil {
		t.Error("a leader moved to or from nowhere")
	}

	b.Close()
	_, recordsErr = b.Records("orders")
	for what, err := range map[string]error{
		"create": b.CreateTopic("new", 1, nil), "delete": b.DeleteTopic("orders"), "add": b.AddPartitions("orders", 1),
		"records": recordsErr, "compact": b.Compact(), "retention": b.ApplyRetention(),
	} {
		if !errors.Is(err, eventembed.ErrClosed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, ok := b.TopicID("orders"); ok {
		t.Error("a closed broker has a topic")
	}
}

func TestIllegalTopicNamesAreRefusedAsKafkaDoes(t *testing.T) {
	b := start(t, eventembed.AutoCreateTopics())
	adm := kadm.NewClient(client(t, b, kgo.AllowAutoTopicCreation()))
	tooLong := strings.Repeat("x", 250)
	for range 2 {
		got, err := adm.CreateTopics(within(t), 1, 1, nil, "a b", "ü", "..", tooLong, "good")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a b", "ü", "..", tooLong} {
			if !errors.Is(got[name].Err, kerr.InvalidTopicException) {
				t.Errorf("%s: got %v", name, got[name].Err)
			}
		}
	}
	if ends, err := b.EndOffsets("good"); err != nil || len(ends) != 1 {
		t.Errorf("the legal one: %v, %v", ends, err)
	}
	meta, err := adm.Metadata(within(t), "c d", tooLong[1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := meta.Topics["c d"].Err; !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("got %v", err)
	}
	if err := meta.Topics[tooLong[1:]].Err; err != nil {
		t.Errorf("got %v", err)
	}
}

func TestRecordsAreWhatAReadCommittedConsumerGets(t *testing.T) {
	b := start(t, eventembed.Brokers(2), eventembed.Topics(1, "orders"))
	tx := client(t, b, kgo.TransactionalID("tx"), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	for _, c := range []struct {
		value string
		end   kgo.TransactionEndTry
	}{{"aborted", kgo.TryAbort}, {"committed", kgo.TryCommit}} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, tx, "orders", c.value)
		if err := tx.EndTransaction(within(t), c.end); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, client(t, b), "orders", "plain")
	expectStored(t, b, "orders", "committed", "plain")

	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, tx, "orders", "open")
	produce(t, client(t, b), "orders", "behind it")
	expectStored(t, b, "orders", "committed", "plain")
	if err := tx.EndTransaction(within(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	expectStored(t, b, "orders", "committed", "plain", "open", "behind it")
}

func TestRecordsFollowTheLeader(t *testing.T) {
	b := start(t, eventembed.Brokers(3), eventembed.Topics(1, "orders"))
	cl := client(t, b)
	for node := range int32(3) {
		if err := b.MoveLeader("orders", 0, node); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, "orders", "x")
		expect(t, "records", len(stored(t, b, "orders")), int(node)+1)
	}
}

func TestCompactAndRetention(t *testing.T) {
	b := start(t)
	for topic, configs := range map[string]map[string]string{
		"prices": {"cleanup.policy": "compact", "segment.bytes": "1", "min.cleanable.dirty.ratio": "0"},
		"clicks": {"retention.ms": "1", "segment.bytes": "1"},
	} {
		if err := b.CreateTopic(topic, 1, configs); err != nil {
			t.Fatal(err)
		}
		cl := client(t, b)
		old := time.Now().Add(-time.Hour)
		for _, v := range []string{"1", "2", "3"} {
			r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(v), Timestamp: old}
			if err := cl.ProduceSync(within(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Compact(); err != nil {
		t.Fatal(err)
	}
	got := stored(t, b, "prices")
	if len(got) >= 3 || got[len(got)-1] != "3" {
		t.Errorf("after compaction: %q", got)
	}
	if err := b.ApplyRetention(); err != nil {
		t.Fatal(err)
	}
	partitions, err := b.Partitions("clicks")
	if err != nil {
		t.Fatal(err)
	}
	if partitions[0].Start == 0 {
		t.Errorf("retention removed nothing: %+v", partitions[0])
	}
}
