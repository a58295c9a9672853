package events

import (
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// outgoing are the events of a call of Produce on their way into rows. Its memory
// is used again, except what rows refer to.
type outgoing struct {
	// at is when Produce was called: the time of each of its events that does
	// not say another. To ask the clock for each took a sixteenth of the time of
	// a call with a thousand, and what repeats is smaller when it is compressed.
	at      time.Time
	encoder cloudevents.Encoder
	events  []outgoingEvent
	rows    []eventmodels.OutboxRow
	topics  []*producedTopic // each once
	sending []tracing.Sending
}

type outgoingEvent struct {
	cloudevents.Encoded
	topic *producedTopic
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// maxPooledEvents bounds the calls whose memory is kept.
const maxPooledEvents = 1 << 12

// add encodes an event.
func (l *LibraryNoDB) add(out *outgoing, event eventmodels.ProducingEvent) error {
	topic, encoded, id, err := l.encode(event, &out.encoder, out.at)
	if err != nil {
		return err
	}
	if encoded.ID == "" && l.settings.tracing != nil {
		encoded.ID = id.String()
	}
	out.events = append(out.events, outgoingEvent{encoded, topic})
	for _, t := range out.topics {
		if t == topic {
			return nil
		}
	}
	out.topics = append(out.topics, topic)
	return nil
}

// spans is what a tracer needs, if there is one. It may replace the events'
// headers.
func (o *outgoing) spans(traced bool) []tracing.Sending {
	if traced {
		for i := range o.events {
			e := &o.events[i]
			o.sending = append(o.sending, tracing.Sending{Topic: string(e.topic.wire), ID: e.ID, Headers: &e.Headers})
		}
	}
	return o.sending
}

// finish makes the rows. Their headers share memory that is not used again, since
// Kafka's client may refer to it for longer than the call lasts.
func (o *outgoing) finish() []eventmodels.OutboxRow {
	size := 0
	for i := range o.events {
		size += recordbatch.HeadersSize(o.events[i].Headers)
	}
	headers := make([]byte, 0, size)
	for i := range o.events {
		e := &o.events[i]
		from := len(headers)
		headers = recordbatch.AppendHeaders(headers, e.Headers)
		o.rows = append(o.rows, eventmodels.OutboxRow{
			Topic:     string(e.topic.wire),
			Key:       e.Key,
			Headers:   headers[from:len(headers):len(headers)],
			Payload:   e.Payload,
			CreatedAt: o.at,
		})
	}
	return o.rows
}

// count counts the events, which are acknowledged.
func (o *outgoing) count(method eventmodels.ProduceMethod) {
	for _, topic := range o.topics {
		n := 0
		for i := range o.events {
			if o.events[i].topic == topic {
				n++
			}
		}
		ProduceTopicCounts.WithLabelValues(topic.name, string(method)).Add(float64(n))
	}
}

// recycle makes the memory available again.
func (o *outgoing) recycle() {
	if cap(o.events) > maxPooledEvents {
		return
	}
	o.encoder.Reset()
	clear(o.events)
	clear(o.rows)
	clear(o.sending)
	clear(o.topics)
	o.events, o.rows, o.sending, o.topics = o.events[:0], o.rows[:0], o.sending[:0], o.topics[:0]
	outgoings.Put(o)
}
