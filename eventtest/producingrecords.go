package eventtest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// client is a Kafka client of the test's own, beside what is tested.
func (w *world[ID, TX, DB]) client(options ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.h.Brokers...)}, options...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

// ends are a topic's end offsets, none if it does not exist.
func (w *world[ID, TX, DB]) ends(topic string) kadm.ListedOffsets {
	w.t.Helper()
	listed, err := kadm.NewClient(w.client()).ListEndOffsets(context.Background(), w.prefix+topic)
	if err != nil {
		w.t.Fatalf("the end of %s: %v", topic, err)
	}
	return listed
}

// records reads what Kafka has of a topic now, by partition and offset.
func (w *world[ID, TX, DB]) records(topic string) []*kgo.Record {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	from := make(map[int32]kgo.Offset)
	left := int64(0)
	w.ends(topic).Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().At(0)
			left += o.Offset // nothing of a test is removed, and nothing transactional
		}
	})
	if left == 0 {
		return nil
	}
	reader := w.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.prefix + topic: from}))
	defer reader.Close()
	var records []*kgo.Record
	for left > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatalf("read %s: %v", topic, err)
		}
		records = append(records, fetches.Records()...)
		left -= int64(fetches.NumRecords())
	}
	slices.SortStableFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records
}

// stored waits until Kafka has at least n records of a topic, and returns
// them.
func (w *world[ID, TX, DB]) stored(topic string, n int) []*kgo.Record {
	w.t.Helper()
	admin := kadm.NewClient(w.client())
	eventually(w.t, "records of "+topic, func() bool {
		listed, err := admin.ListEndOffsets(context.Background(), w.prefix+topic)
		if err != nil {
			return false
		}
		var sum int64
		listed.Each(func(o kadm.ListedOffset) { sum += max(0, o.Offset) })
		return sum >= int64(n)
	})
	return w.records(topic)
}

// numbers are the N of orders, by key, in the order in which they are stored.
func numbers(t testing.TB, records []*kgo.Record) map[string][]int {
	t.Helper()
	byKey := make(map[string][]int)
	for _, r := range records {
		var o order
		if err := json.Unmarshal(r.Value, &o); err != nil {
			t.Fatalf("a record that is no order: %v", err)
		}
		byKey[string(r.Key)] = append(byKey[string(r.Key)], o.N)
	}
	return byKey
}

// inOrder fails unless the numbers of each key are 1, 2, 3 and so on, each
// once, to a total of n.
func inOrder(t testing.TB, records []*kgo.Record, n int) {
	t.Helper()
	if len(records) != n {
		t.Errorf("%d records are stored, want %d", len(records), n)
	}
	for key, got := range numbers(t, records) {
		inversions := 0
		for i, number := range got {
			if number != i+1 {
				inversions++
			}
		}
		if inversions > 0 {
			t.Errorf("key %q: %d of %d events are out of place: %v", key, inversions, len(got), got)
		}
	}
	partitions := make(map[string]int32)
	for _, r := range records {
		if p, ok := partitions[string(r.Key)]; ok && p != r.Partition {
			t.Errorf("key %q is in the partitions %d and %d", r.Key, p, r.Partition)
		}
		partitions[string(r.Key)] = r.Partition
	}
}

// header is the value of a record's header; false if it has none.
func header(r *kgo.Record, name string) (string, bool) {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value), true
		}
	}
	return "", false
}
