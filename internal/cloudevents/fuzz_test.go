package cloudevents

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// FuzzDecode: whatever a record holds, it is read or refused as ErrDecode
// with words that do not quote it, and key, place and a plain value stay what
// they were. The fixtures are its seeds.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("k"), []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":1}}`), "application/cloudevents+json", "h", []byte("v"))
	f.Add([]byte{}, []byte(`{"data_base64":"AAH/","time":"x"}`), "application/cloudevents+json; charset=x", "ce_id", []byte("1"))
	f.Add([]byte(nil), []byte(nil), "", "ce_time", []byte("2020-01-02T03:04:05Z"))
	for sdk := range sdks {
		for _, x := range readFixtures(f, sdk) {
			contentType, name, value := "", "", []byte(nil)
			for _, h := range x.Headers {
				if h.Name == headerContentType {
					contentType = string(h.Value)
				} else {
					name, value = h.Name, h.Value
				}
			}
			f.Add([]byte(x.Key), []byte(x.Value), contentType, name, value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte, contentType, name string, header []byte) {
		r := &kafka.Record{Key: key, Value: value, Headers: []kafka.Header{{Key: name, Value: header}}, Partition: 3, Offset: 4}
		if contentType != "" {
			r.Headers = append(r.Headers, kafka.Header{Key: headerContentType, Value: []byte(contentType)})
		}
		before := bytes.Clone(value)
		m, err := Decode(r)
		if err != nil && !errors.Is(err, eventmodels.ErrDecode) {
			t.Fatalf("not a DecodeError: %v", err)
		}
		if m.Key != string(key) || m.Partition != 3 || m.Offset != 4 {
			t.Fatalf("key %q of %d/%d became %q of %d/%d", key, 3, 4, m.Key, m.Partition, m.Offset)
		}
		if err != nil && !bytes.Equal(m.Data, value) {
			t.Fatalf("refused, and the data %q is %q", value, m.Data)
		}
		if !bytes.Equal(r.Value, before) {
			t.Fatal("the record's value was changed")
		}
		structured := isStructured(contentType) || contentType == "" && name == headerContentType && isStructured(string(header))
		if m.SpecVersion == "" && m.ID == "" && !structured && !bytes.Equal(m.Data, value) {
			t.Fatalf("a plain value %q became %q", value, m.Data)
		}
	})
}

// FuzzRoundTrip: what is encoded is decoded to the same.
func FuzzRoundTrip(f *testing.F) {
	f.Add("k", "id", "/source", "type", "subject", "schema", []byte(`{"n":7}`), "name", "value", int64(0))
	f.Add("\x00\xff", "", "", "", "", "", []byte(nil), "traceparent", "\x00", int64(1767323045678901234))
	f.Fuzz(func(t *testing.T, key, id, source, kind, subject, schema string, payload []byte, name, value string, nanos int64) {
		at := time.Unix(0, nanos).UTC()
		event := selfMarshaling{payload: payload, SimpleEvent: topic.Event(key, model{}).
			ID(id).Source(source).Type(kind).Subject(subject).DataSchema(schema).Time(at).WithHeader(name, value)}
		d := Defaults{ID: uuid.MustParse("0190d4f0-0000-7000-8000-000000000001"), Source: "shop", Now: time.Now()}
		encoded, err := new(Encoder).Encode(event, d)
		if err != nil {
			extension, isExtension := strings.CutPrefix(name, headerPrefix)
			if name != "" && !reserved(name) && (!isExtension || isExtensionName(extension)) {
				t.Fatal(err)
			}
			return
		}
		m, err := Decode(record(encoded))
		if err != nil {
			t.Fatal(err)
		}
		id = cmp.Or(id, d.ID.String())
		source = cmp.Or(source, d.Source)
		kind = cmp.Or(kind, "orders")
		if m.Key != key || m.ID != id || m.Source != source || m.Type != kind || m.Subject != subject || m.DataSchema != schema || m.SpecVersion != "1.0" {
			t.Fatalf("%+v", m)
		}
		if !m.Timestamp.Equal(at) || !bytes.Equal(m.Data, payload) || len(m.Headers) != 1 || len(m.Headers[name]) != 1 || m.Headers[name][0] != value {
			t.Fatalf("%+v", m)
		}
	})
}

// FuzzEnvelope: an envelope that package json writes is read to the same.
func FuzzEnvelope(f *testing.F) {
	f.Add("id", "/source", "type", "subject", "ext", []byte("data"))
	f.Fuzz(func(t *testing.T, id, source, kind, subject, extension string, data []byte) {
		for _, s := range []string{id, source, kind, subject, extension} {
			if !utf8.ValidString(s) || s == "" {
				return
			}
		}
		text, err := json.Marshal(map[string]any{
			"specversion": "1.0", "id": id, "source": source, "type": kind, "subject": subject, "ext": extension,
			"datacontenttype": "application/x", "data_base64": base64.StdEncoding.EncodeToString(data),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, contentType := range []string{"application/cloudevents+json;charset=utf-8", "application/x"} {
			m, err := Decode(&kafka.Record{Value: text, Headers: []kafka.Header{{Key: headerContentType, Value: []byte(contentType)}}})
			if err != nil {
				t.Fatal(err)
			}
			if m.ID != id || m.Source != source || m.Type != kind || m.Subject != subject || strings.Join(m.Headers["ce_ext"], "|") != extension ||
				m.ContentType != "application/x" || !bytes.Equal(m.Data, data) || m.Data == nil {
				t.Fatalf("%s: %+v of %s", contentType, m, text)
			}
		}
	})
}

// FuzzNamesSpecVersion: what is looked for in steps is found where looking at
// every byte finds it.
func FuzzNamesSpecVersion(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0"}`), 3)
	f.Add([]byte(`"specversion`), 0)
	f.Add([]byte(`""specversio"specversion"specversion""`), 14)
	f.Fuzz(func(t *testing.T, value []byte, cut int) {
		check := func(value []byte) {
			t.Helper()
			if got, want := namesSpecVersion(value), bytes.Contains(value, []byte(quotedSpecVersion)); got != want {
				t.Fatalf("%q: %t, not %t", value, got, want)
			}
		}
		check(value)
		// Chance does not write the text: it is put in, whole and all but a part.
		at := min(max(cut, 0), len(value))
		with := slices.Insert(slices.Clone(value), at, []byte(quotedSpecVersion)...)
		check(with)
		check(with[:min(at+max(cut, 0)%len(quotedSpecVersion), len(with))])
		check(with[at+1:])
	})
}
