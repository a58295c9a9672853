package tracing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// scope is the instrumentation scope's name: the module's path.
const scope = "github.com/seed46dd6f11/events"

// Tracer makes the library's spans. Its methods may be called by many
// goroutines at once.
type Tracer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	fields     []string // headers that the propagator writes
}

// New returns a tracer, nil without provider. A nil propagator is W3C Trace
// Context and Baggage.
func New(provider trace.TracerProvider, propagator propagation.TextMapPropagator) *Tracer {
	if provider == nil {
		return nil
	}
	if propagator == nil {
		propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	return &Tracer{
		tracer:     provider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagator: propagator,
		fields:     propagator.Fields(),
	}
}

// Span is what was started, and is to be ended once. nil is none.
type Span struct{ span trace.Span }

// End ends the span, with the error that what it stands for ended with.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, bounded(fmt.Sprint(err)))
		s.span.SetAttributes(semconv.ErrorTypeKey.String(errorType(err)))
	}
	s.span.End()
}

// Create makes the create span of an event that is sent later, and returns its
// headers with what the propagator writes.
func (t *Tracer) Create(ctx context.Context, topic, id string, headers []kafka.Header) []kafka.Header {
	if t == nil {
		return headers
	}
	ctx, span := t.tracer.Start(ctx, "create "+topic, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName("create"),
		semconv.MessagingOperationTypeCreate,
		semconv.MessagingDestinationName(topic),
		semconv.MessagingMessageID(valid(id)),
	))
	span.End()
	return t.inject(ctx, headers)
}

// Sending is an event of a call of Produce.
type Sending struct {
	Topic, ID string
	// Headers are replaced.
	Headers *[]kafka.Header
}

// Send makes the spans of a call of Produce and writes them into the events'
// headers. The function ends them.
func (t *Tracer) Send(ctx context.Context, events []Sending) (end func(error)) {
	if t == nil || len(events) == 0 {
		return func(error) {}
	}
	if len(events) == 1 {
		e := events[0]
		ctx, span := t.tracer.Start(ctx, "send "+e.Topic, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			semconv.MessagingSystemKafka,
			semconv.MessagingOperationName("send"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(e.Topic),
			semconv.MessagingMessageID(valid(e.ID)),
		))
		*e.Headers = t.inject(ctx, *e.Headers)
		return (&Span{span}).End
	}
	links := make(map[string][]trace.Link)
	var topics []string
	for _, e := range events {
		topic := e.Topic
		*e.Headers = t.Create(ctx, topic, e.ID, *e.Headers)
		if _, seen := links[topic]; !seen {
			topics = append(topics, topic)
		}
		links[topic] = append(links[topic], trace.LinkFromContext(t.extractRecord(*e.Headers)))
	}
	spans := make([]*Span, len(topics))
	for i, topic := range topics {
		_, span := t.tracer.Start(ctx, "send "+topic, trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links[topic]...), trace.WithAttributes(
			semconv.MessagingSystemKafka,
			semconv.MessagingOperationName("send"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(topic),
			semconv.MessagingBatchMessageCount(len(links[topic])),
		))
		spans[i] = &Span{span}
	}
	return func(err error) {
		for _, s := range spans {
			s.End(err)
		}
	}
}

// Forward starts the send span of an event that was created before, as an outbox
// row or a dead letter has it, if it belongs to a trace that is recorded; nil for
// others. The event's headers stay as they are.
func (t *Tracer) Forward(topic string, headers []kafka.Header) *Span {
	if t == nil {
		return nil
	}
	ctx := t.extractRecord(headers)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return nil
	}
	_, span := t.tracer.Start(ctx, "send "+topic, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName("send"),
		semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(topic),
		semconv.MessagingMessageID(valid((&recordCarrier{headers}).Get(headerID))),
	))
	return &Span{span}
}

// headerID holds an event's CloudEvents id.
const headerID = "ce_id"

// Process starts the span of an attempt of a handler. topic is the wire topic;
// group is "" for a broadcast. Its parent is the span that the event was
// created in; a batch has links to those of its events instead.
func (t *Tracer) Process(ctx context.Context, topic, group string, ms []*eventmodels.Message) (context.Context, *Span) {
	if t == nil || len(ms) == 0 {
		return ctx, nil
	}
	attributes := make([]attribute.KeyValue, 0, 12)
	attributes = append(attributes,
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName("process"),
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(topic),
		attribute.String("events.handler", ms[0].HandlerName),
		attribute.Int("events.attempt", ms[0].Attempt),
	)
	if group != "" {
		attributes = append(attributes, semconv.MessagingConsumerGroupName(group))
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}
	// A span around StartConsuming, whose context's values handlers have, is the
	// parent of nothing: its trace would never end.
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	if len(ms) == 1 {
		ctx = t.propagator.Extract(ctx, messageCarrier{ms[0]})
		attributes = append(attributes,
			semconv.MessagingMessageID(valid(ms[0].ID)),
			semconv.MessagingDestinationPartitionID(strconv.Itoa(int(ms[0].Partition))),
			semconv.MessagingKafkaOffset(int(ms[0].Offset)),
		)
	} else {
		links := make([]trace.Link, 0, len(ms))
		for _, m := range ms {
			// An event without a span has no context to link to.
			if link := trace.LinkFromContext(t.propagator.Extract(context.Background(), messageCarrier{m})); link.SpanContext.IsValid() {
				links = append(links, link)
			}
		}
		options = append(options, trace.WithLinks(links...))
		attributes = append(attributes, semconv.MessagingBatchMessageCount(len(ms)))
	}
	ctx, span := t.tracer.Start(ctx, "process "+topic, append(options, trace.WithAttributes(attributes...))...)
	return ctx, &Span{span}
}

// inject adds what the propagator writes. What an event that was passed on has
// brought of it is replaced: it belongs to the span of another event.
func (t *Tracer) inject(ctx context.Context, headers []kafka.Header) []kafka.Header {
	c := recordCarrier{headers: slices.DeleteFunc(headers, func(h kafka.Header) bool { return slices.Contains(t.fields, h.Key) })}
	t.propagator.Inject(ctx, &c)
	return c.headers
}

func (t *Tracer) extractRecord(headers []kafka.Header) context.Context {
	return t.propagator.Extract(context.Background(), &recordCarrier{headers: headers})
}

// ErrPanic ends the span of a handler that has panicked.
var ErrPanic = errors.New("the handler has panicked")

// errorType is the error.type attribute: few different values.
func errorType(err error) string {
	switch {
	case errors.Is(err, eventmodels.ErrDecode):
		return "decode"
	case errors.Is(err, eventmodels.TimeoutErr), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, ErrPanic):
		return "panic"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}

// bounded cuts a text that others have written.
func bounded(text string) string {
	const limit = 1000
	return valid(text[:min(len(text), limit)])
}

// valid makes a text that others have written one that exporters can send: what
// is no UTF-8, a rune that was cut included, makes the encoding of OTLP fail,
// and with it the export of all spans of a batch.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
