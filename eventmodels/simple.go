package eventmodels

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// SimpleEvent is an event of a bound topic, made by [BoundTopic.Event]. It is
// a value: every method that sets something returns a changed copy and leaves
// its receiver as it was, so that one event can be the base of many.
//
// The payload itself is not copied. It is encoded when the event is produced
// (in a transaction: when tx.Produce is called).
type SimpleEvent struct {
	topic      string
	key        string
	model      any
	timestamp  time.Time
	attributes Attributes
	headers    map[string][]string // never changed in place
}

var (
	_ SelfMarshalingEvent = SimpleEvent{}
	_ AttributedEvent     = SimpleEvent{}
)

// ID sets the CloudEvents id. The default is a new UUIDv7 each time the
// event is produced. Source and id together identify an event for
// exactly-once handlers.
func (e SimpleEvent) ID(id string) SimpleEvent { e.attributes.ID = id; return e }

// Source sets the CloudEvents source, a URI reference. The default is the
// name of the running program.
func (e SimpleEvent) Source(source string) SimpleEvent { e.attributes.Source = source; return e }

// Subject sets the CloudEvents subject.
func (e SimpleEvent) Subject(subject string) SimpleEvent { e.attributes.Subject = subject; return e }

// Type sets the CloudEvents type. The default is the topic's name.
func (e SimpleEvent) Type(eventType string) SimpleEvent { e.attributes.Type = eventType; return e }

// Time sets when the event happened. The default is when it is produced.
func (e SimpleEvent) Time(t time.Time) SimpleEvent { e.timestamp = t; return e }

// SpecVersion sets the CloudEvents version, "1.0" by default.
func (e SimpleEvent) SpecVersion(version string) SimpleEvent {
	e.attributes.SpecVersion = version
	return e
}

// DataSchema sets the CloudEvents dataschema, a URI.
func (e SimpleEvent) DataSchema(schema string) SimpleEvent {
	e.attributes.DataSchema = schema
	return e
}

// WithHeader sets a header of the record to values, in place of what it was.
// Without values the header is removed.
func (e SimpleEvent) WithHeader(key string, values ...string) SimpleEvent {
	headers := maps.Clone(e.headers)
	if len(values) == 0 {
		delete(headers, key)
	} else {
		if headers == nil {
			headers = make(map[string][]string, 1)
		}
		headers[key] = slices.Clone(values)
	}
	e.headers = headers
	return e
}

// Header returns a copy of the headers.
func (e SimpleEvent) Header() map[string][]string {
	headers := make(map[string][]string, len(e.headers))
	for k, v := range e.headers {
		headers[k] = slices.Clone(v)
	}
	return headers
}

// GetKey implements [ProducingEvent].
func (e SimpleEvent) GetKey() string { return e.key }

// GetTimestamp implements [ProducingEvent].
func (e SimpleEvent) GetTimestamp() time.Time { return e.timestamp }

// GetTopic implements [ProducingEvent].
func (e SimpleEvent) GetTopic() string { return e.topic }

// GetHeaders implements [ProducingEvent]. The map must not be changed; see
// [SimpleEvent.Header] for a copy.
func (e SimpleEvent) GetHeaders() map[string][]string { return e.headers }

// Attributes implements [AttributedEvent].
func (e SimpleEvent) Attributes() Attributes { return e.attributes }

// Marshal implements [SelfMarshalingEvent] with the JSON codec, or with the
// one registered in its place.
func (e SimpleEvent) Marshal() (encoded []byte, contentType string, err error) {
	if e.topic == "" {
		return nil, "", fmt.Errorf("a SimpleEvent without topic; make events with BoundTopic.Event")
	}
	encoded, err = codecFor(ContentTypeJSON).Encode(e.model)
	return encoded, ContentTypeJSON, err
}
