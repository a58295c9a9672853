package lanes_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type row = eventmodels.OutboxRow

// relay is the other side of a sender: it hands rows out in their order, and
// sends what was returned again when its topic is ready.
type relay struct {
	t      testing.TB
	sender *lanes.Sender

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	seq     int64
	out     map[*row]bool // sent and not reported
	acked   []*row
	refused map[*row]error
	back    map[string][]*row // returned, by topic
	held    map[string]error
	holds   int
	readies int
	fenced  []lanes.Identity
	// onFenced is called, if there is one, on a goroutine of its own.
	onFenced func(lanes.Identity)
	stopped  bool

	// sending makes Send and Resume follow each other.
	sending sync.Mutex
	ready   chan string
}

// option changes a sender's configuration.
type option func(*lanes.Config)

// start starts a sender with a relay around it.
func start(t testing.TB, client *kgo.Client, options ...option) *relay {
	t.Helper()
	r := &relay{
		t: t, changed: make(chan struct{}), out: make(map[*row]bool), refused: make(map[*row]error),
		back: make(map[string][]*row), held: make(map[string]error), ready: make(chan string, 100),
	}
	cfg := lanes.Config{Client: client, Report: r, HoldAfter: 300 * time.Millisecond, MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond}
	for _, o := range options {
		o(&cfg)
	}
	if cfg.Identity == (lanes.Identity{}) {
		id, err := lanes.InitProducerID(ctx(t), client)
		if err != nil {
			t.Fatal(err)
		}
		id.Epoch = 7
		cfg.Identity = id
	}
	var err error
	if r.sender, err = lanes.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.sender.Start()
	loop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case topic := <-r.ready:
				r.resume(topic)
			case <-loop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(loop)
		<-done
		r.stop(ctx(t))
	})
	return r
}

func (r *relay) stop(ctx context.Context) {
	r.sender.Stop(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// send sends rows, after giving them their seq.
func (r *relay) send(rows ...*row) {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.mu.Lock()
	for _, row := range rows {
		r.seq++
		row.Seq = r.seq
		r.out[row] = true
	}
	r.mu.Unlock()
	r.sender.Send(rows)
}

// resume sends what was returned again.
func (r *relay) resume(topic string) {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.sender.Resume(topic)
	r.mu.Lock()
	rows := r.back[topic]
	delete(r.back, topic)
	delete(r.held, topic)
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, row := range rows {
		r.out[row] = true
	}
	r.mu.Unlock()
	r.sender.Send(rows)
	r.change(func() {})
}

func (r *relay) change(edit func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		r.t.Error("a report after Stop")
	}
	edit()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *relay) take(row *row) {
	if !r.out[row] {
		r.t.Errorf("row %d was reported and is not out", row.Seq)
	}
	delete(r.out, row)
}

func (r *relay) Acked(rows []*row) {
	r.change(func() {
		for _, row := range rows {
			r.take(row)
		}
		r.acked = append(r.acked, rows...)
	})
}

func (r *relay) Refused(row *row, err error) {
	r.change(func() { r.take(row); r.refused[row] = err })
}

func (r *relay) Returned(rows []*row) {
	r.change(func() {
		for _, row := range rows {
			r.take(row)
			r.back[row.Topic] = append(r.back[row.Topic], row)
		}
	})
}

func (r *relay) Held(topic string, err error) {
	r.change(func() {
		if r.held[topic] != nil {
			r.t.Errorf("topic %s is held twice", topic)
		}
		r.held[topic] = err
		r.holds++
	})
}

func (r *relay) Ready(topic string) {
	r.change(func() {
		if r.held[topic] == nil {
			r.t.Errorf("topic %s is ready, but was not held", topic)
		}
		for row := range r.out {
			if row.Topic == topic {
				r.t.Errorf("topic %s is ready, but row %d was not reported", topic, row.Seq)
			}
		}
		r.readies++
	})
	r.ready <- topic
}

func (r *relay) Fenced(id lanes.Identity, err error) {
	r.change(func() {
		if slices.Contains(r.fenced, id) {
			r.t.Errorf("%v is fenced twice", id)
		}
		r.fenced = append(r.fenced, id)
	})
	if r.onFenced != nil {
		go r.onFenced(id)
	}
}

// until waits until cond, which is called with the lock held, is true.
func (r *relay) until(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waiting until %s: %d out, %d acked, %d refused, held %v, fenced %v, %+v", what, len(r.out), len(r.acked), len(r.refused), r.held, r.fenced, r.sender.Stats())
		}
	}
}

// settled waits until everything was acknowledged or refused.
func (r *relay) settled() {
	r.t.Helper()
	r.until("everything is sent", func() bool {
		for _, rows := range r.back {
			if len(rows) > 0 {
				return false
			}
		}
		return len(r.out) == 0
	})
}

// ackedOf waits until n rows of a topic are acknowledged.
func (r *relay) ackedOf(topic string, n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d rows of %s are acknowledged", n, topic), func() bool { return r.countAcked(topic) >= n })
}

func (r *relay) countAcked(topic string) (n int) {
	for _, row := range r.acked {
		if row.Topic == topic {
			n++
		}
	}
	return n
}

// ctx returns a context that ends with the test, or after a minute.
func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return c
}

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
	var headers []recordbatch.Header
	for _, h := range rec.Headers {
		headers = append(headers, recordbatch.Header{Key: h.Key, Value: h.Value})
	}
	want := r.Headers
	if len(want) == 0 {
		want = []byte{0}
	}
	if !bytes.Equal(recordbatch.AppendHeaders(nil, headers), want) {
		t.Errorf("row %d is stored with headers %q, want % x", r.Seq, headers, r.Headers)
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
