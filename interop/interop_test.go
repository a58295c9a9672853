package interop

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventsqlite"
)

func TestMain(m *testing.M) {
	// The SDK's Kafka client keeps its statistics with one goroutine for the
	// process, which never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

type order struct {
	N    int    `json:"n"`
	Name string `json:"name"`
}

var (
	topic  = eventsqlite.BindTopic[order]("orders")
	placed = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
)

func startBroker(t *testing.T) *eventembed.Broker {
	t.Helper()
	broker, err := eventembed.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	return broker
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	return config
}

func shutdown(t *testing.T, lib interface{ Shutdown(context.Context) error }) {
	t.Helper()
	if err := lib.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// receive reads n events of the topic with the SDK.
func receive(t *testing.T, brokers []string, n int) []received {
	t.Helper()
	consumer, err := sarama.NewConsumer(brokers, saramaConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	partitions, err := consumer.Partitions(topic.Topic())
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan *sarama.ConsumerMessage)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, p := range partitions {
		pc, err := consumer.ConsumePartition(topic.Topic(), p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for m := range pc.Messages() {
				select {
				case messages <- m:
				case <-ctx.Done():
				}
			}
		}()
		defer func() { cancel(); pc.Close(); <-done }()
	}
	var all []received
	for range n {
		m := next(t, messages)
		message := kafka_sarama.NewMessageFromConsumerMessage(m)
		e, err := binding.ToEvent(ctx, message)
		if err != nil {
			t.Fatalf("the SDK does not read what the library wrote: %v", err)
		}
		all = append(all, received{*e, string(m.Key), message.ReadEncoding()})
	}
	return all
}

// next bounds the wait for what should come at once.
func next[T any](t *testing.T, values <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-values:
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
	return v
}

type received struct {
	event.Event
	key      string
	encoding binding.Encoding
}

// find returns the event with this id.
func find(t *testing.T, all []received, id string) received {
	t.Helper()
	for _, r := range all {
		if r.ID() == id {
			return r
		}
	}
	t.Fatalf("no event %s in %v", id, all)
	return received{}
}

// selfMade is an event that encodes itself: the way to other content types,
// and to the structured mode.
type selfMade struct {
	eventmodels.SimpleEvent
	payload     []byte
	contentType string
}

func (e selfMade) Marshal() ([]byte, string, error) { return e.payload, e.contentType, nil }

// The official SDK accepts what the library writes: at once and through the
// outbox, with all attributes and with none, binary and structured.
func TestTheSDKReadsTheLibrary(t *testing.T) {
	ctx := t.Context()
	broker := startBroker(t)
	db, err := eventsqlite.Open(ctx, filepath.Join(t.TempDir(), "events.db"), eventsqlite.WithMigrate())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lib := eventsqlite.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer shutdown(t, lib)

	full := topic.Event("k-17", order{7, "Zoë"}).Source("https://shop.example/orders").Type("com.example.order.placed").
		Subject("order-17").DataSchema("https://shop.example/schemas/order.json").Time(placed).
		WithHeader("ce_tenant", "blue").WithHeader("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	envelope := []byte(`{"specversion":"1.0","id":"structured","source":"https://shop.example/orders","type":"t","time":"2026-01-02T03:04:05.678901234Z","data":{"n":7,"name":"Zoë"}}`)
	produced := []eventmodels.ProducingEvent{
		full.ID("full"),
		topic.Event("", order{1, "least"}).ID("least"),
		selfMade{topic.Event("k", order{}).ID("bytes").Time(placed), []byte{0, 1, 255}, "application/octet-stream"},
		selfMade{topic.Event("k", order{}).ID("tombstone").Time(placed), nil, ""},
		selfMade{topic.Event("k", order{}).ID("structured"), envelope, event.ApplicationCloudEventsJSON},
	}
	for how, produce := range map[string]func() error{
		"immediate": func() error { return lib.Produce(ctx, eventmodels.ProduceImmediate, produced...) },
		"outbox": func() error {
			return db.Transact(ctx, func(tx *eventsqlite.Tx) error {
				tx.Produce(produced...)
				tx.Produce(full.ID("last"))
				return nil
			})
		},
	} {
		t.Run(how, func(t *testing.T) {
			if err := produce(); err != nil {
				t.Fatal(err)
			}
		})
	}
	all := receive(t, broker.Addrs(), 2*len(produced)+1)
	for _, r := range all {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.ID(), err)
		}
		want := binding.EncodingBinary
		if r.ID() == "structured" {
			want = binding.EncodingStructured
		}
		if r.encoding != want {
			t.Errorf("%s is %v, want %v", r.ID(), r.encoding, want)
		}
	}

	for _, id := range []string{"full", "last"} {
		f := find(t, all, id)
		var data order
		if err := f.DataAs(&data); err != nil || data != (order{7, "Zoë"}) {
			t.Errorf("data %+v, %v", data, err)
		}
		if f.key != "k-17" || f.SpecVersion() != "1.0" || f.Source() != "https://shop.example/orders" || f.Type() != "com.example.order.placed" ||
			f.Subject() != "order-17" || f.DataSchema() != "https://shop.example/schemas/order.json" || f.DataContentType() != "application/json" ||
			!f.Time().Equal(placed) || f.Extensions()["tenant"] != "blue" {
			t.Errorf("key %q, %v", f.key, f.Event)
		}
	}
	if l := find(t, all, "least"); l.key != "" || l.Type() != "orders" || l.Source() == "" || l.Time().IsZero() || l.Subject() != "" {
		t.Errorf("%v", l.Event)
	}
	if b := find(t, all, "bytes"); string(b.Data()) != "\x00\x01\xff" || b.DataContentType() != "application/octet-stream" {
		t.Errorf("%v", b.Event)
	}
	if n := find(t, all, "tombstone"); n.Data() != nil || n.DataContentType() != "" {
		t.Errorf("%v", n.Event)
	}
	var data order
	if s := find(t, all, "structured"); json.Unmarshal(s.Data(), &data) != nil || data != (order{7, "Zoë"}) || !s.Time().Equal(placed) {
		t.Errorf("%v", s.Event)
	}
}

// A handler gets what the SDK's own Kafka client sends, binary and structured.
func TestTheLibraryReadsTheSDK(t *testing.T) {
	broker := startBroker(t)
	lib := eventnodb.New()
	got := make(chan eventmodels.Event[order], 10)
	lib.ConsumeIdempotent(events.NewConsumerGroup("interop"), eventmodels.OnFailureBlock, "got", topic.Handler(
		func(_ context.Context, e eventmodels.Event[order]) error {
			got <- e
			return nil
		}))
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	ctx, cancel := context.WithCancel(t.Context())
	stopped := lib.StartConsumingOrPanic(ctx)
	defer shutdown(t, lib)
	defer func() { cancel(); <-stopped }()

	sender, err := kafka_sarama.NewSender(broker.Addrs(), saramaConfig(), topic.Topic())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close(ctx)
	for _, mode := range []string{"binary", "structured"} {
		e := event.New()
		e.SetID(mode)
		e.SetSource("https://shop.example/orders")
		e.SetType("com.example.order.placed")
		e.SetSubject("order-17")
		e.SetTime(placed)
		e.SetExtension("partitionkey", "k-17")
		if err := e.SetData(event.ApplicationJSON, order{7, "Zoë"}); err != nil {
			t.Fatal(err)
		}
		sendCtx := binding.WithForceBinary(ctx)
		if mode == "structured" {
			sendCtx = binding.WithForceStructured(ctx)
		}
		if err := sender.Send(sendCtx, binding.ToMessage(&e)); err != nil {
			t.Fatal(err)
		}
		r := next(t, got)
		if r.Payload != (order{7, "Zoë"}) || r.ID != mode || r.Source != "https://shop.example/orders" || r.Type != "com.example.order.placed" ||
			r.Subject != "order-17" || r.SpecVersion != "1.0" || r.ContentType != "application/json" || !r.Timestamp.Equal(placed) ||
			r.Key != "k-17" || strings.Join(r.Headers["ce_partitionkey"], "|") != "k-17" {
			t.Errorf("%s: %+v", mode, r)
		}
	}
}
