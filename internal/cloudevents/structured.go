package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// envelope is an event in the JSON event format: its attributes and data.
type envelope map[string]json.RawMessage

// isStructured says whether a content type is that of the structured mode,
// in whatever event format.
func isStructured(contentType string) bool {
	t := strings.TrimSpace(contentType)
	return len(t) >= len(structuredPrefix) && strings.EqualFold(t[:len(structuredPrefix)], structuredPrefix)
}

// readStructured reads the value of a structured record into m and returns
// what is wrong with it, or "". Where something is, m is unchanged.
func readStructured(m *eventmodels.Message, r *kafka.Record) string {
	switch mediaType(m.ContentType) {
	case structuredPrefix + "+json":
	case structuredPrefix + "-batch+json":
		return "a batch of events is no event: the Kafka protocol binding has one event in a record"
	default:
		return "of the structured content mode only " + structuredPrefix + "+json is supported"
	}
	var e envelope
	if err := json.Unmarshal(r.Value, &e); err != nil || e == nil {
		return "the value is not a JSON object, as the structured content mode requires"
	}
	return e.read(m, r, "")
}

// readUnlabelled reads the value of a record that has neither attributes in
// its headers nor the structured mode's content type, but is an event in JSON
// all the same: all required attributes are there. That is what the Python
// SDK writes in versions 1.x and, as cloudevents.v1, also in 2.x: its
// content-type header is the data's, or missing. Anything else stays as it
// is: the value of a plain record.
func readUnlabelled(m *eventmodels.Message, r *kafka.Record) {
	if !namesSpecVersion(r.Value) {
		return
	}
	var e envelope
	if json.Unmarshal(r.Value, &e) != nil || !strings.HasPrefix(e.text("specversion"), "1.") {
		return
	}
	if e.text("id") == "" || e.text("source") == "" || e.text("type") == "" {
		return
	}
	e.read(m, r, m.ContentType)
}

const quotedSpecVersion = `"specversion"`

// namesSpecVersion is bytes.Contains, which looks at every byte of the value of
// every plain record, for this text alone (the algorithm is Horspool's): most
// values are passed through in steps as long as the text.
func namesSpecVersion(value []byte) bool {
	const last = len(quotedSpecVersion) - 1
	for at := last; at < len(value); at += int(specVersionSteps[value[at]]) {
		if string(value[at-last:at+1]) == quotedSpecVersion {
			return true
		}
	}
	return false
}

// specVersionSteps says, of a byte that stands where the text would end, where
// the text can end next: so much further that another place of it has the byte,
// or all of it is behind.
var specVersionSteps = func() (steps [256]uint8) {
	const last = len(quotedSpecVersion) - 1
	for i := range steps {
		steps[i] = uint8(last + 1)
	}
	for i := range last {
		steps[quotedSpecVersion[i]] = uint8(last - i)
	}
	return steps
}()

// read sets what the envelope says and returns what is wrong with it, or "".
// Attributes in the record's headers do not count beside an envelope. The
// data's type is contentType unless the envelope says otherwise.
func (e envelope) read(m *eventmodels.Message, r *kafka.Record, contentType string) string {
	if t := e.text("datacontenttype"); t != "" {
		contentType = t
	}
	data, reason := e.data(contentType)
	if reason != "" {
		return reason
	}
	event := eventmodels.Message{Data: data, Headers: m.Headers, Timestamp: r.Timestamp, Partition: r.Partition, Offset: r.Offset}
	maps.DeleteFunc(event.Headers, func(name string, _ []string) bool { return strings.HasPrefix(name, headerPrefix) })
	a := attributes{contentType: []byte(contentType)}
	for name, raw := range e {
		if name == "data" || name == "data_base64" || name == "datacontenttype" || isNull(raw) {
			continue
		}
		value := e.text(name)
		if !a.set(headerPrefix+name, []byte(value)) {
			if event.Headers == nil {
				event.Headers = make(map[string][]string)
			}
			event.Headers[headerPrefix+name] = []string{value}
		}
	}
	(&Decoder{}).read(&event, r.Key, &a)
	*m = event
	return ""
}

// data returns nil for an event without data.
func (e envelope) data(contentType string) (data []byte, reason string) {
	if raw := e["data_base64"]; raw != nil && !isNull(raw) {
		data, err := base64.StdEncoding.DecodeString(e.text("data_base64"))
		if err != nil {
			return nil, "data_base64 is not base64"
		}
		return data, ""
	}
	raw := e["data"]
	if raw == nil || isNull(raw) {
		return nil, ""
	}
	if !isJSON(contentType) {
		// Text of another format is a JSON string.
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return []byte(s), ""
		}
	}
	return raw, ""
}

// text returns a string's value, "" for null and for what is not there, and
// the JSON of anything else: an extension may be a number or a boolean.
func (e envelope) text(name string) string {
	var s string
	if raw, ok := e[name]; ok && json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// isJSON reports whether data of this type stands in the envelope as it is.
// No type means JSON.
func isJSON(contentType string) bool {
	t := mediaType(contentType)
	return t == "" || strings.HasSuffix(t, "/json") || strings.HasSuffix(t, "+json")
}

// mediaType is a content type in lower case, without its parameters.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
