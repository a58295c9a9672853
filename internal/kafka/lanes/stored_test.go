package lanes_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kgo"
)

// embed starts an embedded cluster.
func embed(t testing.TB, options ...eventembed.Option) *eventembed.Broker {
	t.Helper()
	b, err := eventembed.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// dial returns a client of a cluster.
func dial(t testing.TB, addrs []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.DisableClientMetrics()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// keyed returns n rows of a topic with one of keys keys each.
func keyed(topic string, n, keys int) []*row {
	rows := make([]*row, n)
	for i := range rows {
		rows[i] = newRow(topic, fmt.Sprintf("key-%d", i%keys))
	}
	return rows
}

func newRow(topic, key string) *row {
	id := uuid.Must(uuid.NewV7())
	return &row{ID: id, Topic: topic, Key: []byte(key), Payload: []byte(id.String()), CreatedAt: time.Now()} // Kafka deletes what is older than its retention at once
}

// stored compares what a topic stores with the rows that are meant to be there:
// each once, those of a key in their order. It returns how many are there more
// than once.
func stored(t testing.TB, records []*kgo.Record, rows []*row) (again int) {
	t.Helper()
	type key struct {
		key string
		nil bool
	}
	want := make(map[key][]*row)
	for _, r := range rows {
		k := key{string(r.Key), r.Key == nil}
		want[k] = append(want[k], r)
	}
	got := make(map[key][]*kgo.Record)
	seen := make(map[string]bool)
	for _, rec := range records {
		id := string(rec.Value)
		if len(rec.Value) > 0 && seen[id] {
			again++
			continue
		}
		seen[id] = true
		k := key{string(rec.Key), rec.Key == nil}
		got[k] = append(got[k], rec)
	}
	for k, recs := range got {
		if len(want[k]) == 0 {
			t.Errorf("%d records of key %q, want none", len(recs), k.key)
		}
	}
	for k, rows := range want {
		recs := got[k]
		if len(recs) != len(rows) {
			t.Errorf("%d records of key %q, want %d", len(recs), k.key, len(rows))
			continue
		}
		if k.nil {
			continue // no order
		}
		for i, r := range rows {
			same(t, recs[i], r)
		}
	}
	return again
}

// same compares a record with the row that it was.
func same(t testing.TB, rec *kgo.Record, r *row) {
	t.Helper()
	if !bytes.Equal(rec.Key, r.Key) || (rec.Key == nil) != (r.Key == nil) || !bytes.Equal(rec.Value, r.Payload) || (rec.Value == nil) != (r.Payload == nil) {
		t.Errorf("row %d is stored as %q: %q, want %q: %q", r.Seq, rec.Key, rec.Value, r.Key, r.Payload)
	}
	if !rec.Timestamp.Equal(r.CreatedAt.Truncate(time.Millisecond)) && rec.Attrs.TimestampType() == 0 {
		t.Errorf("row %d is stored with time %v, want %v", r.Seq, rec.Timestamp, r.CreatedAt)
	}
	want := r.Headers
	if len(want) == 0 {
		want = []byte{0}
	}
	if !bytes.Equal(recordbatch.AppendHeaders(nil, rec.Headers), want) {
		t.Errorf("row %d is stored with headers %q, want % x", r.Seq, rec.Headers, r.Headers)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
