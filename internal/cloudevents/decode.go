package cloudevents

import (
	"encoding/base64"
	"encoding/json"
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
	for i := range r.Headers {
		h := &r.Headers[i]
		if !setAttribute(&m, h.Key, h.Value) {
			if m.Headers == nil {
				m.Headers = make(map[string][]string, len(r.Headers)-i)
			}
			m.Headers[h.Key] = append(m.Headers[h.Key], string(h.Value))
		}
	}
	if !strings.HasPrefix(strings.ToLower(m.ContentType), structuredPrefix) {
		return m, nil
	}
	if reason := readStructured(&m, r.Value); reason != "" {
		return m, &eventmodels.DecodeError{Topic: r.Topic, ID: m.ID, ContentType: m.ContentType, Reason: reason}
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
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		m.Timestamp = t
	}
}

// readStructured reads the JSON event format and returns what is wrong with
// it, or "".
func readStructured(m *eventmodels.Message, value []byte) string {
	format := strings.ToLower(m.ContentType)
	format, _, _ = strings.Cut(format, ";")
	if strings.TrimSpace(format) != structuredPrefix+"+json" {
		return "of the structured content mode only " + structuredPrefix + "+json is supported"
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil || members == nil {
		return "the value is not a JSON object, as the structured content mode requires"
	}
	text := func(name string) string {
		var s string
		if raw, ok := members[name]; ok && json.Unmarshal(raw, &s) != nil {
			return string(raw) // an extension may be a number or a boolean
		}
		return s
	}
	m.ContentType = ""
	m.Data = nil
	for name := range members {
		switch name {
		case "data", "data_base64", "datacontenttype":
		default:
			if !setAttribute(m, headerPrefix+name, []byte(text(name))) {
				if m.Headers == nil {
					m.Headers = make(map[string][]string)
				}
				m.Headers[headerPrefix+name] = []string{text(name)}
			}
		}
	}
	m.ContentType = text("datacontenttype")
	if encoded, ok := members["data_base64"]; ok && string(encoded) != "null" {
		data, err := base64.StdEncoding.DecodeString(text("data_base64"))
		if err != nil {
			return "data_base64 is not base64"
		}
		m.Data = data
		return ""
	}
	data, ok := members["data"]
	if !ok || string(data) == "null" {
		return ""
	}
	m.Data = data
	if !isJSON(m.ContentType) {
		// Text of another format is a JSON string.
		var s string
		if json.Unmarshal(data, &s) == nil {
			m.Data = []byte(s)
		}
	}
	return ""
}

// isJSON reports whether data of this type stands in the envelope as it is.
// No type means JSON.
func isJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	mediaType = strings.TrimSpace(mediaType)
	return mediaType == "" || strings.HasSuffix(mediaType, "/json") || strings.HasSuffix(mediaType, "+json")
}
