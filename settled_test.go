package events_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// settled is a Library of a test, on a database of its own.
type settled struct {
	*eventsqlite.Library
	db     *eventsqlite.DB
	prefix string
	log    lockedBuffer
}

var settledTopic = eventsqlite.BindTopic[string]("settled")

// newSettled makes a Library that setup may change; with a prefix it is
// another process of the same service.
func newSettled(t *testing.T, brokers []string, prefix string, setup func(*settled)) *settled {
	t.Helper()
	s := &settled{Library: eventsqlite.NewLibrary(), db: openSQLite(t), prefix: prefix}
	if prefix == "" {
		s.prefix = "s" + uuid.NewString()[:8] + "."
	}
	s.SkipNotifierSupport()
	s.SetPrefix(s.prefix)
	s.SetLogger(slog.New(slog.NewTextHandler(&s.log, nil)))
	setup(s)
	s.Configure(s.db, nil, false, nil, nil, brokers)
	t.Cleanup(func() { s.shutdown(t) })
	return s
}

func (s *settled) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func (s *settled) start(t *testing.T) *settled {
	t.Helper()
	started, _, err := s.StartConsuming(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	awaitDone(t, started, "consuming")
	return s
}

func (s *settled) relay(t *testing.T) {
	t.Helper()
	if _, err := s.CatchUpProduce(context.Background(), 50*time.Millisecond, 500); err != nil {
		t.Fatal(err)
	}
}

func (s *settled) produce(t *testing.T, bodies ...string) {
	t.Helper()
	evs := make([]eventmodels.ProducingEvent, len(bodies))
	for i, b := range bodies {
		evs[i] = settledTopic.Event("k", b)
	}
	if err := s.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
		t.Fatal(err)
	}
}

func (s *settled) transact(bodies ...string) error {
	return s.db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
		for _, b := range bodies {
			tx.Produce(timed(b))
		}
		return nil
	})
}

// timed is an event whose size does not depend on the time.
func timed(body string) eventmodels.ProducingEvent {
	return settledTopic.Event("k", body).Time(time.Unix(1_700_000_000, 0))
}

// consume adds a handler that tells what it gets.
func (s *settled) consume(group string, opts ...events.HandlerOpt) <-chan string {
	got := make(chan string, 100)
	s.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, "h", settledTopic.Handler(
		func(_ context.Context, e eventmodels.Event[string]) error { got <- e.Payload; return nil }), opts...)
	return got
}

func next(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case v := <-got:
		return v
	case <-time.After(time.Minute):
		t.Fatal("waited a minute for an event")
		return ""
	}
}

// onBoth runs a test on the embedded broker and on Kafka.
func onBoth(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t).Addrs()) })
	t.Run("kafka", func(t *testing.T) { test(t, kafkaBrokers(t)) })
}

func raw(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
