package cloudevents

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Encoded is an event as it goes into a record or an outbox row.
type Encoded struct {
	// ID is the event's own; "": it has that of the Defaults.
	ID string
	// Key is nil for an event without key.
	Key []byte
	// Headers are the attributes and then the event's own, by name.
	Headers []kafka.Header
	// Payload is nil for a tombstone.
	Payload []byte
	// Timestamp is when the event happened.
	Timestamp time.Time
}

// Defaults are what an event gets that does not say it itself.
type Defaults struct {
	ID     uuid.UUID
	Source string
	Now    time.Time
}

// Encoder encodes events into memory that they share. The zero value is ready.
type Encoder struct {
	headers []kafka.Header
	values  []byte
	// written are the values that headers refer to.
	written int
	// at is the time that was encoded last, text what it is in RFC 3339: events
	// of one call mostly have the same.
	at   time.Time
	text []byte
}

// Reset makes the memory available again: the headers of what was encoded are no
// longer valid.
func (w *Encoder) Reset() {
	clear(w.headers)
	w.headers, w.values, w.written = w.headers[:0], w.values[:0], 0
}

// Encode encodes an event. Its errors are [*eventmodels.InvalidEventError].
// The topic's name is the caller's to check. The headers are valid until Reset.
func (w *Encoder) Encode(event eventmodels.ProducingEvent, d Defaults) (Encoded, error) {
	payload, contentType, err := marshal(event)
	if err != nil {
		return Encoded{}, &eventmodels.InvalidEventError{Topic: event.GetTopic(), Reason: "it cannot be encoded", Err: err}
	}
	own := event.GetHeaders()
	for name := range own {
		if name == "" || reserved(name) {
			return Encoded{}, &eventmodels.InvalidEventError{Topic: event.GetTopic(), Reason: fmt.Sprintf("the header name %q is not allowed (set CloudEvents attributes with the event's methods)", name)}
		}
		if extension, ok := strings.CutPrefix(name, headerPrefix); ok && !isExtensionName(extension) {
			return Encoded{}, &eventmodels.InvalidEventError{Topic: event.GetTopic(), Reason: fmt.Sprintf("the header name %q is not allowed: the name of a CloudEvents extension has letters and digits only", name)}
		}
	}
	var attributes eventmodels.Attributes
	if a, ok := event.(eventmodels.AttributedEvent); ok {
		attributes = a.Attributes()
	}
	at := event.GetTimestamp()
	if at.IsZero() {
		at = d.Now
	}
	e := Encoded{ID: attributes.ID, Payload: payload, Timestamp: at}
	if key := event.GetKey(); key != "" {
		e.Key = []byte(key)
	}
	source, eventType := cmp.Or(attributes.Source, d.Source), cmp.Or(attributes.Type, event.GetTopic())
	first := len(w.headers)
	w.headers = slices.Grow(w.headers, 8+len(own))
	w.values = slices.Grow(w.values, max(len(e.ID), uuidText)+len(source)+len(specVersion)+len(eventType)+len(time.RFC3339Nano)+
		len(attributes.Subject)+len(attributes.DataSchema)+len(contentType))
	if e.ID != "" {
		w.add(headerID, e.ID)
	} else {
		w.values = appendUUID(w.values, d.ID)
		w.end(headerID)
	}
	w.add(headerSource, source)
	w.add(headerSpecVersion, cmp.Or(attributes.SpecVersion, specVersion))
	w.add(headerType, eventType)
	w.values = append(w.values, w.timeText(at)...)
	w.end(headerTime)
	if attributes.Subject != "" {
		w.add(headerSubject, attributes.Subject)
	}
	if attributes.DataSchema != "" {
		w.add(headerDataSchema, attributes.DataSchema)
	}
	if contentType != "" {
		w.add(headerContentType, contentType)
	}
	if len(own) > 0 {
		for _, name := range slices.Sorted(maps.Keys(own)) {
			for _, value := range own[name] {
				w.add(name, value)
			}
		}
	}
	e.Headers = w.headers[first:len(w.headers):len(w.headers)]
	return e, nil
}

// timeText returns a time in RFC 3339, valid until the next one.
func (w *Encoder) timeText(at time.Time) []byte {
	if len(w.text) == 0 || at != w.at {
		w.at, w.text = at, at.UTC().AppendFormat(w.text[:0], time.RFC3339Nano)
	}
	return w.text
}

// add writes a header. What was written stays where it is when values grows.
func (w *Encoder) add(name, value string) {
	w.values = append(w.values, value...)
	w.end(name)
}

// uuidText is the length of a UUID as text.
const uuidText = 36

// appendUUID appends the text of id.
func appendUUID(dst []byte, id uuid.UUID) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, part := range [][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), part)
	}
	return dst
}

// end makes a header of what was appended to values since the last one.
func (w *Encoder) end(name string) {
	end := len(w.values)
	w.headers = append(w.headers, kafka.Header{Key: name, Value: w.values[w.written:end:end]})
	w.written = end
}

func marshal(event eventmodels.ProducingEvent) (payload []byte, contentType string, err error) {
	if e, ok := event.(eventmodels.SelfMarshalingEvent); ok {
		return e.Marshal()
	}
	payload, err = json.Marshal(event)
	return payload, eventmodels.ContentTypeJSON, err
}

// isExtensionName is as lenient as SDKs are, which read capital letters as
// small ones, and refuse an event with any other name.
func isExtensionName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
