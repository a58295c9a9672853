package eventtest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// records reads what Kafka has of a topic now, by partition and offset.
func (w *world[ID, TX, DB]) records(topic string) []*kgo.Record {
	w.t.Helper()
	return w.cluster().records(topic)
}

// stored waits until Kafka has at least n records of a topic, and returns
// them.
func (w *world[ID, TX, DB]) stored(topic string, n int) []*kgo.Record {
	w.t.Helper()
	kafka := w.cluster()
	eventually(w.t, "records of "+topic, func() bool {
		listed, err := kafka.adm.ListEndOffsets(context.Background(), w.prefix+topic)
		if err != nil {
			return false
		}
		var sum int64
		listed.Each(func(o kadm.ListedOffset) { sum += max(0, o.Offset) })
		return sum >= int64(n)
	})
	return kafka.records(topic)
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
