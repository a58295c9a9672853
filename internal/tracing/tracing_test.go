package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Without a provider nothing is allocated and nothing changed.
func TestNoProviderCostsNothing(t *testing.T) {
	tracer := New(nil, propagation.TraceContext{})
	headers := []kafka.Header{{Key: "a", Value: []byte("b")}}
	ms := []*eventmodels.Message{{Topic: "t"}}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		tracer.Create(ctx, "t", "id", headers)
		tracer.Forward("t", headers)
		tracer.Send(ctx, nil)(nil)
		_, span := tracer.Process(ctx, "t", "g", ms)
		span.End(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An event that is passed on with its headers does not take the state of the
// old trace along.
func TestHeadersOfAnotherSpanAreReplaced(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil)
	headers := tracer.Create(context.Background(), "t", "id", []kafka.Header{
		{Key: "traceparent", Value: []byte("00-11111111111111111111111111111111-2222222222222222-01")},
		{Key: "tracestate", Value: []byte("vendor=old")},
		{Key: "own", Value: []byte("kept")},
	})
	c := &recordCarrier{headers}
	if c.Get("own") != "kept" || c.Get("tracestate") != "" {
		t.Errorf("headers are %v", headers)
	}
	want := fmt.Sprintf("00-%s-%s-01", spans.GetSpans()[0].SpanContext.TraceID(), spans.GetSpans()[0].SpanContext.SpanID())
	if c.Get("traceparent") != want {
		t.Errorf("traceparent is %q, want %q", c.Get("traceparent"), want)
	}
}

// The span of a batch belongs to no event's trace, and links to all of them.
func TestBatchLinks(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil)
	var ms []*eventmodels.Message
	for i := range 3 {
		m := &eventmodels.Message{ID: fmt.Sprint(i), Headers: map[string][]string{}}
		for _, h := range tracer.Create(context.Background(), "t", m.ID, nil) {
			m.Headers[h.Key] = append(m.Headers[h.Key], string(h.Value))
		}
		ms = append(ms, m)
	}
	ms = append(ms, &eventmodels.Message{ID: "of a producer without traces"})
	created := spans.GetSpans()
	spans.Reset()
	_, span := tracer.Process(context.Background(), "t", "g", ms)
	span.End(nil)
	batch := spans.GetSpans()[0]
	if batch.Parent.IsValid() || len(batch.Links) != 3 {
		t.Fatalf("parent %v, links %v", batch.Parent, batch.Links)
	}
	for i, link := range batch.Links {
		if link.SpanContext.SpanID() != created[i].SpanContext.SpanID() {
			t.Errorf("link %d is to another span", i)
		}
	}
}

// Events whose trace is not recorded cost no span.
func TestForwardOfWhatIsNotSampled(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil)
	for _, headers := range [][]kafka.Header{
		nil,
		{{Key: "traceparent", Value: []byte("00-11111111111111111111111111111111-2222222222222222-00")}},
		{{Key: "traceparent", Value: []byte("not one")}},
	} {
		if tracer.Forward("t", headers) != nil {
			t.Errorf("%v has a span", headers)
		}
	}
	if span := tracer.Forward("t", []kafka.Header{{Key: "traceparent", Value: []byte("00-11111111111111111111111111111111-2222222222222222-01")}}); span == nil {
		t.Error("no span of a sampled trace")
	}
}

// The span in which consuming was started is not the parent of what is
// processed.
func TestProcessIsNoPartOfTheStart(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tracer := New(provider, nil)
	ctx, main := provider.Tracer("main").Start(context.Background(), "main")
	defer main.End()
	for _, ms := range [][]*eventmodels.Message{{{Topic: "t"}}, {{Topic: "t"}, {Topic: "t"}}} {
		_, span := tracer.Process(ctx, "t", "g", ms)
		span.End(nil)
	}
	for _, s := range spans.GetSpans() {
		if s.Parent.IsValid() || s.SpanContext.TraceID() == main.SpanContext().TraceID() {
			t.Errorf("%s of trace %s has the parent %v", s.Name, s.SpanContext.TraceID(), s.Parent)
		}
	}
	if n := len(spans.GetSpans()); n != 2 {
		t.Errorf("%d spans", n)
	}
}

func TestErrorType(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("a: %w", eventmodels.ErrDecode), "decode"},
		{fmt.Errorf("a: %w", eventmodels.TimeoutErr), "timeout"},
		{context.DeadlineExceeded, "timeout"},
		{fmt.Errorf("a: %w", &eventmodels.InvalidEventError{}), "*eventmodels.InvalidEventError"},
		{fmt.Errorf("order 17: %w", errors.New("full")), "*errors.errorString"},
	} {
		if got := errorType(c.err); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}

// What others have written reaches exporters as UTF-8, which OTLP asks for.
func TestTextsAreUTF8(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil)
	const id = "\xff\xfe"
	tracer.Create(t.Context(), "t", id, nil)
	var headers []kafka.Header
	tracer.Send(t.Context(), []Sending{{Topic: "t", ID: id, Headers: &headers}})(nil)
	tracer.Forward("t", append(headers, kafka.Header{Key: "ce_id", Value: []byte(id)})).End(nil)
	_, span := tracer.Process(t.Context(), "t", "g", []*eventmodels.Message{{Topic: "t", ID: id}})
	span.End(errors.New("\x80" + strings.Repeat("ä", 2000)))
	ended := spans.GetSpans()
	if len(ended) != 4 {
		t.Fatalf("%d spans", len(ended))
	}
	for _, s := range ended {
		if !utf8.ValidString(s.Status.Description) || len(s.Status.Description) > 1010 {
			t.Errorf("%s: the description is %q", s.Name, s.Status.Description)
		}
		for _, a := range s.Attributes {
			if !utf8.ValidString(a.Value.String()) {
				t.Errorf("%s: %s is %q", s.Name, a.Key, a.Value.String())
			}
		}
	}
}
