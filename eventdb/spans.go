package eventdb

import (
	"errors"
	"sync"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// errNotSent ends the span of a row that its leadership has not brought to an
// end: the next one sends it.
var errNotSent = errors.New("the relay's term has ended before Kafka has acknowledged the event")

// errHeld ends the span of a row that waits for its topic: it is read, and
// sent, again.
var errHeld = errors.New("the topic cannot be written at the moment")

// spans are the send spans of rows in flight whose events belong to a trace
// that is recorded. A nil *spans has none.
type spans struct {
	tracer *tracing.Tracer

	mu   sync.Mutex
	open map[*eventmodels.OutboxRow]*tracing.Span // guarded by mu
}

func newSpans(tracer *tracing.Tracer) *spans {
	if tracer == nil {
		return nil
	}
	return &spans{tracer: tracer, open: make(map[*eventmodels.OutboxRow]*tracing.Span)}
}

// begin is called before rows are handed to the sender.
func (s *spans) begin(rows []*eventmodels.OutboxRow) {
	if s == nil {
		return
	}
	for _, row := range rows {
		headers, err := recordbatch.ReadHeaders(row.Headers)
		if err != nil {
			continue // the sender's to complain about
		}
		if span := s.tracer.Forward(row.Topic, headers); span != nil {
			s.mu.Lock()
			s.open[row] = span
			s.mu.Unlock()
		}
	}
}

// end is called when the sender reports on rows. Spans are ended without the
// lock: an exporter may take its time.
func (s *spans) end(rows []*eventmodels.OutboxRow, err error) {
	if s == nil {
		return
	}
	for _, row := range rows {
		s.mu.Lock()
		span := s.open[row]
		delete(s.open, row)
		s.mu.Unlock()
		span.End(err)
	}
}

// endAll is called when the sender has stopped.
func (s *spans) endAll() {
	if s == nil {
		return
	}
	s.mu.Lock()
	left := s.open
	s.open = make(map[*eventmodels.OutboxRow]*tracing.Span)
	s.mu.Unlock()
	for _, span := range left {
		span.End(errNotSent)
	}
}
