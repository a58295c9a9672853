package eventtest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
)

// plain is a record as a program without this library writes it.
func plain(topic, key string, partition int32, n int) kgo.Record {
	value, _ := json.Marshal(order{ID: orderID(n), N: n})
	return kgo.Record{Topic: topic, Key: []byte(key), Partition: partition, Value: value}
}

// No event of an aborted transaction is handled, and the markers at the end
// are committed, too.
func (s *suite[ID, TX, DB]) abortedTransactions(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster(kgo.TransactionalID(w.prefix + "writer"))
	kafka.create("orders", 2, nil)
	transact := func(from, to int, end kgo.TransactionEndTry) {
		t.Helper()
		kafka.must("begin", kafka.kgo.BeginTransaction())
		for n := from; n < to; n++ {
			kafka.send(plain("orders", "k", int32(n%2), n))
		}
		ctx, cancel := within()
		defer cancel()
		kafka.must("end", kafka.kgo.EndTransaction(ctx, end))
	}
	got, heard := newSeen[order](), newSeen[order]()
	register := func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "h", orders.Handler(got.handle))
		lib.ConsumeBroadcast("b", orders.Handler(heard.handle))
	}
	transact(100, 110, kgo.TryAbort)
	transact(0, 10, kgo.TryCommit)
	transact(200, 210, kgo.TryAbort)
	c := w.consumer(register)
	got.wait(t, 10)
	kafka.awaitNoLag("g", "orders")
	transact(300, 310, kgo.TryAbort)
	transact(10, 20, kgo.TryCommit)
	transact(400, 410, kgo.TryAbort)
	kafka.awaitNoLag("g", "orders")
	heard.wait(t, 10)
	c.shutdown()
	wantOnce(t, "the group", got.all(), 0, 20)
	wantOnce(t, "the broadcast", heard.all(), 10, 20)
}

// The holes that compaction leaves are passed.
func (s *suite[ID, TX, DB]) compactedTopic(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	compact := "compact"
	kafka.create("orders", 1, map[string]*string{"cleanup.policy": &compact})
	for n := range 30 {
		kafka.send(plain("orders", fmt.Sprint("key", n%3), 0, n))
	}
	kafka.must("compact", s.h.Broker.Compact())
	stored, err := s.h.Broker.Records(w.prefix + "orders")
	kafka.must("records", err)
	if len(stored) == 30 {
		t.Fatal("nothing was compacted")
	}
	got := newSeen[order]()
	w.consumer(idempotent[ID, TX, DB](orders, got.handle))
	kafka.awaitNoLag("g", "orders")
	if all := got.all(); len(all) != len(stored) {
		t.Errorf("%d of %d events were handled", len(all), len(stored))
	}
}

// A topic that is deleted and created again is consumed and produced to, by
// those who knew the old one.
func (s *suite[ID, TX, DB]) topicRecreated(t *testing.T) {
	t.Parallel()
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	got, heard := newSeen[order](), newSeen[order]()
	gaps := make(chan string, 100)
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "h", orders.Handler(got.handle))
		lib.ConsumeBroadcast("b", orders.Handler(heard.handle))
		lib.OnBroadcastGap(func(topic string) { gaps <- topic })
	})
	if w.open != nil {
		c.relay()
	}
	c.produce(orders, 0, 20)
	got.wait(t, 20)
	heard.wait(t, 20)
	kafka.awaitNoLag("g", "orders")

	kafka.remove("orders")
	eventually(t, "the topic to be gone", func() bool { return len(kafka.leaders("orders")) == 0 })
	kafka.create("orders", 1, nil)
	c.produce(orders, 100, 105) // fewer than before: old offsets are behind the end
	got.wait(t, 25)
	if topic := await(t, gaps, "the gap to be told"); topic != "orders" {
		t.Errorf("the gap is in topic %q", topic)
	}
	heard.wait(t, 25)
	kafka.awaitNoLag("g", "orders")
	wantOnce(t, "the group, of the new topic", got.all()[20:], 100, 105)
	wantOnce(t, "the broadcast, of the new topic", heard.all()[20:], 100, 105)
	if w.open != nil {
		c.transact(func(tx TX) error {
			produceIn(tx, orders.Event("k", order{N: 200}))
			return nil
		})
		got.wait(t, 26)
		heard.wait(t, 26)
	}
}

// logLines collects what is logged.
type logLines struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(line)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *logLines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// An event that cannot be decoded takes its verdict without being retried, its
// handler is not called, and its body is in no log.
func (s *suite[ID, TX, DB]) undecodable(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	const secret = "swordfish"
	bad := []kgo.Record{
		{Topic: "orders", Value: []byte(`{"id": "` + secret)},                  // not JSON
		{Topic: "orders", Value: []byte(`{"id": "a", "n": "` + secret + `"}`)}, // another type
		{Topic: "orders", Value: []byte(secret)},                               // not JSON at all
		{Topic: "orders", Key: []byte("k"), Value: []byte(secret), Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/x-unknown")}}},
		{Topic: "orders", Value: []byte(`{"specversion": "` + secret + `"`), Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}},
	}
	var lines logLines
	got, heard := newSeen[order](), newSeen[order]()
	discards := newSeen[order]()
	w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.SetLogger(lines.logger())
		lib.ConsumeIdempotent(group, discard, "h", orders.Handler(discards.handle))
		lib.ConsumeIdempotent(events.NewConsumerGroup("holds"), block, "h", orders.Handler(got.handle))
		lib.ConsumeBroadcast("b", orders.Handler(heard.handle))
	})
	kafka.send(plain("orders", "k", 0, 0))
	for _, r := range bad {
		kafka.send(r)
	}
	kafka.send(plain("orders", "k", 0, 1))
	kafka.awaitNoLag("g", "orders")
	heard.wait(t, 2)
	kafka.awaitCommitted("holds", "orders", 0, 1)
	wantOnce(t, "the group", discards.all(), 0, 2)
	wantOnce(t, "the broadcast", heard.all(), 0, 2)
	if text := lines.String(); strings.Contains(text, secret) {
		t.Errorf("a body was logged:\n%s", text)
	} else if !strings.Contains(text, "cannot be decoded") {
		t.Errorf("nothing was logged of the events that cannot be decoded:\n%s", text)
	}
}
