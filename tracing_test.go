package events_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// traced is a Library whose spans are kept.
type traced struct {
	*eventsqlite.Library
	db    *eventsqlite.DB
	spans *tracetest.InMemoryExporter
	trace trace.Tracer
}

func newTraced(t *testing.T) *traced {
	t.Helper()
	broker := embedded(t)
	db := openSQLite(t)
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	lib := eventsqlite.NewLibrary()
	lib.SkipNotifierSupport()
	lib.SetLogger(slog.New(slog.DiscardHandler))
	lib.SetTracerProvider(provider)
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	return &traced{lib, db, spans, provider.Tracer("test")}
}

// start begins consuming and relaying; stop ends both, so that all spans have
// ended.
func (l *traced) start(t *testing.T) (stop func()) {
	t.Helper()
	if _, err := l.CatchUpProduce(context.Background(), time.Second, 100); err != nil {
		t.Fatal(err)
	}
	l.StartConsumingOrPanic(context.Background())
	return func() {
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// named returns the spans of a name, of which there have to be n.
func (l *traced) named(t *testing.T, name string, n int) []tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	var all []string
	for _, s := range l.spans.GetSpans() {
		all = append(all, s.Name)
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != n {
		t.Fatalf("%d spans %q, want %d; there are %q", len(found), name, n, all)
	}
	return found
}

func attributeOf(s tracetest.SpanStub, key attribute.Key) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// One trace goes from an HTTP request through the transaction, the relay and
// the handler to the handler of the event that it has produced.
func TestOneTrace(t *testing.T) {
	lib := newTraced(t)
	orders, invoices := eventsqlite.BindTopic[shipment]("orders"), eventsqlite.BindTopic[shipment]("invoices")
	done := make(chan string, 1)
	group := events.NewConsumerGroup("billing")
	lib.ConsumeExactlyOnce(group, eventmodels.OnFailureBlock, "invoice", orders.HandlerTx(func(ctx context.Context, tx *eventsqlite.Tx, e eventmodels.Event[shipment]) error {
		tx.Produce(invoices.Event("i", e.Payload).WithHeader("traceparent", e.Headers["traceparent"]...)) // a header of another span
		return nil
	}))
	lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "print", invoices.Handler(func(ctx context.Context, e eventmodels.Event[shipment]) error {
		done <- baggage.FromContext(ctx).Member("tenant").Value()
		return nil
	}))
	stop := lib.start(t)

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := baggage.NewMember("tenant", "t1")
		bag, _ := baggage.New(member)
		ctx, span := lib.trace.Start(baggage.ContextWithBaggage(r.Context(), bag), "POST /orders")
		defer span.End()
		if err := lib.db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			tx.Produce(orders.Event("o", shipment{1}))
			return nil
		}); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	response, err := http.Post(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if tenant := <-done; tenant != "t1" {
		t.Errorf("the baggage says %q", tenant)
	}
	stop()

	request := lib.named(t, "POST /orders", 1)[0]
	created := lib.named(t, "create orders", 1)[0]
	sent := lib.named(t, "send orders", 1)[0]
	processed := lib.named(t, "process orders", 1)[0]
	derived := lib.named(t, "create invoices", 1)[0]
	derivedSent := lib.named(t, "send invoices", 1)[0]
	last := lib.named(t, "process invoices", 1)[0]
	for _, link := range []struct {
		child, parent tracetest.SpanStub
		kind          trace.SpanKind
	}{
		{created, request, trace.SpanKindProducer},
		{sent, created, trace.SpanKindClient},
		{processed, created, trace.SpanKindConsumer},
		{derived, processed, trace.SpanKindProducer},
		{derivedSent, derived, trace.SpanKindClient},
		{last, derived, trace.SpanKindConsumer},
	} {
		if link.child.Parent.SpanID() != link.parent.SpanContext.SpanID() || link.child.SpanContext.TraceID() != request.SpanContext.TraceID() {
			t.Errorf("the parent of %q is not %q", link.child.Name, link.parent.Name)
		}
		if link.child.SpanKind != link.kind {
			t.Errorf("%q is of kind %v, want %v", link.child.Name, link.child.SpanKind, link.kind)
		}
	}
	for key, want := range map[attribute.Key]string{
		"messaging.system": "kafka", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "orders", "messaging.consumer.group.name": "billing", "messaging.kafka.offset": "0",
		"events.handler": "invoice", "events.attempt": "1",
	} {
		if got := attributeOf(processed, key); got != want {
			t.Errorf("process orders has %s=%q, want %q", key, got, want)
		}
	}
	id := attributeOf(processed, "messaging.message.id")
	if id == "" || id != attributeOf(created, "messaging.message.id") || id != attributeOf(sent, "messaging.message.id") {
		t.Errorf("the spans of one event have different ids: %q, %q, %q", attributeOf(created, "messaging.message.id"), attributeOf(sent, "messaging.message.id"), id)
	}
}

// A call of Produce with several events has a span for each, and one per topic
// that links to them; with one event a single span.
func TestSpansOfProduce(t *testing.T) {
	lib := newTraced(t)
	a, b := eventmodels.BindTopic[shipment]("a"), eventmodels.BindTopic[shipment]("b")
	produce := func(events ...eventmodels.ProducingEvent) {
		t.Helper()
		if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, events...); err != nil {
			t.Fatal(err)
		}
	}
	produce(a.Event("", shipment{1}), b.Event("", shipment{2}), a.Event("", shipment{3}))
	if sends := lib.named(t, "send a", 1); len(sends[0].Links) != 2 || sends[0].SpanKind != trace.SpanKindClient || attributeOf(sends[0], "messaging.batch.message_count") != "2" {
		t.Errorf("send a has links %v, kind %v", sends[0].Links, sends[0].SpanKind)
	} else if created := lib.named(t, "create a", 2); sends[0].Links[0].SpanContext.SpanID() != created[0].SpanContext.SpanID() {
		t.Error("send a links to something else than the events' spans")
	}
	lib.named(t, "send b", 1)
	lib.named(t, "create b", 1)
	lib.spans.Reset()
	produce(a.Event("", shipment{4}))
	if s := lib.named(t, "send a", 1)[0]; s.SpanKind != trace.SpanKindProducer || s.Status.Code == codes.Error {
		t.Errorf("one event: kind %v, status %v", s.SpanKind, s.Status)
	}
	lib.named(t, "create a", 0)
	lib.spans.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lib.Produce(ctx, eventmodels.ProduceImmediate, a.Event("", shipment{5})); err == nil {
		t.Fatal("a cancelled call has succeeded")
	}
	if s := lib.named(t, "send a", 1)[0]; s.Status.Code != codes.Error || attributeOf(s, "error.type") != "canceled" {
		t.Errorf("a failed call: %v, error.type %q", s.Status, attributeOf(s, "error.type"))
	}
	if err := lib.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// Each attempt has its span, with the way in which it failed.
func TestSpansOfAttempts(t *testing.T) {
	lib := newTraced(t)
	done := make(chan struct{})
	lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", shipments.Handler(func(ctx context.Context, e eventmodels.Event[shipment]) error {
		if !trace.SpanContextFromContext(ctx).IsValid() {
			t.Error("the handler's ctx has no span")
		}
		switch e.Attempt {
		case 1:
			return errors.New("not yet")
		case 2:
			panic("worse")
		}
		close(done)
		return nil
	}), events.WithBackoff(time.Millisecond, time.Millisecond))
	stop := lib.start(t)
	if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, shipments.Event("", shipment{1})); err != nil {
		t.Fatal(err)
	}
	<-done
	stop()
	spans := lib.named(t, "process shipments", 3)
	for i, want := range []struct {
		code      codes.Code
		errorType string
	}{{codes.Error, "*errors.errorString"}, {codes.Error, "panic"}, {codes.Unset, ""}} {
		if s := spans[i]; s.Status.Code != want.code || attributeOf(s, "error.type") != want.errorType {
			t.Errorf("attempt %d: %v, error.type %q", i+1, s.Status, attributeOf(s, "error.type"))
		}
	}
}

// A dead letter, and its replay, belong to the trace of the event.
func TestTraceOfALetter(t *testing.T) {
	lib := newTraced(t)
	group := events.NewConsumerGroup("letters")
	var well atomic.Bool
	lib.ConsumeIdempotent(group, eventmodels.OnFailureSave, "h", shipments.Handler(func(context.Context, eventmodels.Event[shipment]) error {
		if well.Load() {
			return nil
		}
		return eventmodels.SetErrorHandling(errors.New("not yet"), eventmodels.DoNotRetry)
	}))
	stop := lib.start(t)
	if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, shipments.Event("", shipment{1})); err != nil {
		t.Fatal(err)
	}
	var letters []events.Letter
	for len(letters) == 0 {
		for letter, err := range lib.DeadLetters(group).List(t.Context(), events.LetterFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			letters = append(letters, letter)
		}
	}
	well.Store(true)
	replay, err := lib.DeadLetters(group).Replay(t.Context(), events.LetterAction{}, letters...)
	if err != nil {
		t.Fatal(err)
	}
	if outcomes, err := replay.Wait(t.Context()); err != nil || outcomes[0].Result != events.ReplayDone {
		t.Fatalf("%v, %v", outcomes, err)
	}
	stop()
	sent := lib.named(t, "send shipments", 1)[0]
	written := lib.named(t, "send shipments.letters.dead-letter", 1)[0]
	for _, s := range append(lib.named(t, "process shipments", 2), written) {
		if s.Parent.SpanID() != sent.SpanContext.SpanID() {
			t.Errorf("%q is not of the event's trace", s.Name)
		}
	}
	if written.SpanKind != trace.SpanKindClient || written.Status.Code == codes.Error {
		t.Errorf("the letter's span is of kind %v, %v", written.SpanKind, written.Status)
	}
}
