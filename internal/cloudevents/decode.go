package cloudevents

import (
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// A Decoder reads records into messages. It keeps what repeats in a topic's
// events, so that most of them need one string of their own. Its methods may be
// called by many goroutines at once.
type Decoder struct{ repeated *repeated }

// NewDecoder returns a Decoder.
func NewDecoder() *Decoder { return &Decoder{newRepeated()} }

// Decode reads a record into a message of its own, as [Decoder.Decode] does.
func Decode(r *kafka.Record) (m eventmodels.Message, err error) {
	err = (&Decoder{}).Decode(r, &m)
	return m, err
}

// Decode reads a record into m, without topic, group, handler and attempt. The
// error is a [*eventmodels.DecodeError]; m holds then what is known without
// the value.
func (d *Decoder) Decode(r *kafka.Record, m *eventmodels.Message) error {
	*m = eventmodels.Message{
		Data:      r.Value,
		Timestamp: r.Timestamp,
		Partition: r.Partition,
		Offset:    r.Offset,
	}
	var a attributes
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.Key == headerDataContentType {
			a.dataContentType = h.Value
		} else if !a.set(h.Key, h.Value) {
			if m.Headers == nil {
				m.Headers = make(map[string][]string, len(r.Headers)-i)
			}
			m.Headers[h.Key] = append(m.Headers[h.Key], string(h.Value))
		}
	}
	d.read(m, r.Key, &a)
	if isStructured(m.ContentType) {
		if r.Value == nil {
			return nil // a tombstone, whatever else its producer says
		}
		if reason := readStructured(m, r); reason != "" {
			return &eventmodels.DecodeError{Topic: r.Topic, ID: m.ID, ContentType: m.ContentType, Reason: reason}
		}
		return nil
	}
	if m.ContentType == "" {
		m.ContentType = d.repeated.of(a.dataContentType)
	}
	if m.SpecVersion == "" && m.ID == "" {
		readUnlabelled(m, r)
	}
	return nil
}

// attributes are the values of the attributes, as they were received.
type attributes struct {
	contentType, id, source, specVersion, kind, subject, dataSchema, time []byte
	dataContentType                                                       []byte
}

// set returns false if the header is none of the attributes.
func (a *attributes) set(name string, value []byte) bool {
	switch name {
	case headerContentType:
		a.contentType = value
	case headerID:
		a.id = value
	case headerSource:
		a.source = value
	case headerSpecVersion:
		a.specVersion = value
	case headerType:
		a.kind = value
	case headerSubject:
		a.subject = value
	case headerDataSchema:
		a.dataSchema = value
	case headerTime:
		a.time = value
	default:
		return false
	}
	return true
}

// read sets the key and the attributes of m.
//
// Key, id and subject, which differ from event to event, are parts of one
// string. None of them refers to the record's own memory: they are small, and
// a handler that keeps one would keep a whole fetch.
func (d *Decoder) read(m *eventmodels.Message, key []byte, a *attributes) {
	var buffer [128]byte
	own := append(append(append(buffer[:0], key...), a.id...), a.subject...)
	text := string(own)
	m.Key, text = text[:len(key)], text[len(key):]
	m.ID, m.Subject = text[:len(a.id)], text[len(a.id):]

	m.ContentType = d.repeated.of(a.contentType)
	m.Source = d.repeated.of(a.source)
	m.Type = d.repeated.of(a.kind)
	m.DataSchema = d.repeated.of(a.dataSchema)
	if string(a.specVersion) == specVersion {
		m.SpecVersion = specVersion
	} else {
		m.SpecVersion = string(a.specVersion)
	}
	if a.time != nil {
		setTime(m, a.time)
	}
}

// setTime leaves the record's timestamp where the event's cannot be read.
func setTime(m *eventmodels.Message, text []byte) {
	var at time.Time
	if at.UnmarshalText(text) == nil {
		m.Timestamp = at
		return
	}
	// RFC 3339 allows the letters T and Z to be small, and package time reads
	// some times that it does not allow.
	if at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(string(text))); err == nil {
		m.Timestamp = at
	}
}
