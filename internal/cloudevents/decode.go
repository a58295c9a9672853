package cloudevents

import (
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Decode reads a record into a message without topic, group, handler and
// attempt. The error is a [*eventmodels.DecodeError]; the message holds then
// what is known without the value.
func Decode(r *kafka.Record) (eventmodels.Message, error) {
	m := eventmodels.Message{
		Key:       string(r.Key),
		Data:      r.Value,
		Timestamp: r.Timestamp,
		Partition: r.Partition,
		Offset:    r.Offset,
	}
	dataContentType := ""
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.Key == headerDataContentType {
			dataContentType = string(h.Value)
		} else if !setAttribute(&m, h.Key, h.Value) {
			if m.Headers == nil {
				m.Headers = make(map[string][]string, len(r.Headers)-i)
			}
			m.Headers[h.Key] = append(m.Headers[h.Key], string(h.Value))
		}
	}
	if isStructured(m.ContentType) {
		if r.Value == nil {
			return m, nil // a tombstone, whatever else its producer says
		}
		if reason := readStructured(&m, r); reason != "" {
			return m, &eventmodels.DecodeError{Topic: r.Topic, ID: m.ID, ContentType: m.ContentType, Reason: reason}
		}
		return m, nil
	}
	if m.ContentType == "" {
		m.ContentType = dataContentType
	}
	if m.SpecVersion == "" && m.ID == "" {
		readUnlabelled(&m, r)
	}
	return m, nil
}

// setAttribute returns false if the header is none of the attributes.
func setAttribute(m *eventmodels.Message, name string, value []byte) bool {
	switch name {
	case headerContentType:
		m.ContentType = string(value)
	case headerID:
		m.ID = string(value)
	case headerSource:
		m.Source = string(value)
	case headerSpecVersion:
		m.SpecVersion = string(value)
	case headerType:
		m.Type = string(value)
	case headerSubject:
		m.Subject = string(value)
	case headerDataSchema:
		m.DataSchema = string(value)
	case headerTime:
		setTime(m, string(value))
	default:
		return false
	}
	return true
}

// setTime leaves the record's timestamp where the event's cannot be read.
func setTime(m *eventmodels.Message, text string) {
	// RFC 3339 allows the letters T and Z to be small, package time does not.
	if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		m.Timestamp = t
	}
}
