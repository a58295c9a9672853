package cloudevents

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

type model struct {
	N int `json:"n"`
}

var topic = eventmodels.BindTopic[model]("orders")

func defaults() Defaults {
	return Defaults{ID: uuid.MustParse("0190d4f0-0000-7000-8000-000000000001"), Source: "shop", Now: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)}
}

func record(e Encoded) *kafka.Record {
	return &kafka.Record{Topic: "orders", Key: e.Key, Value: e.Payload, Headers: e.Headers, Timestamp: time.UnixMilli(1), Partition: 3, Offset: 4}
}

func TestRoundTrip(t *testing.T) {
	event := topic.Event("k\x00\xff", model{7}).Subject("s").DataSchema("http://schema").Type("placed").WithHeader("b", "1", "\x00\xff").WithHeader("a", "2")
	encoded, err := new(Encoder).Encode(event, defaults())
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(record(encoded))
	if err != nil {
		t.Fatal(err)
	}
	want := eventmodels.Message{
		Key: "k\x00\xff", Data: []byte(`{"n":7}`), Headers: map[string][]string{"b": {"1", "\x00\xff"}, "a": {"2"}},
		Timestamp: defaults().Now, ID: defaults().ID.String(), ContentType: "application/json", Subject: "s", Type: "placed", Source: "shop",
		SpecVersion: "1.0", DataSchema: "http://schema", Partition: 3, Offset: 4,
	}
	if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
	again, _ := new(Encoder).Encode(event, defaults())
	if fmt.Sprint(again.Headers) != fmt.Sprint(encoded.Headers) {
		t.Error("the order of the headers is not fixed")
	}
}

func TestDefaultsAndOwnAttributes(t *testing.T) {
	e, err := new(Encoder).Encode(topic.Event("", model{}), defaults())
	if err != nil || e.Key != nil || e.ID != "" {
		t.Errorf("%+v, %v", e, err)
	}
	m, _ := Decode(record(e))
	if m.ID != defaults().ID.String() {
		t.Errorf("the id is %q", m.ID)
	}
	if m.Type != "orders" || m.Source != "shop" || m.Subject != "" || m.Timestamp != defaults().Now {
		t.Errorf("%+v", m)
	}
	at := time.Date(2020, 1, 1, 0, 0, 0, 5, time.FixedZone("x", 3600))
	e, _ = new(Encoder).Encode(topic.Event("k", model{}).ID(strings.Repeat("i", 300)).Source("//x").SpecVersion("1.1").Time(at), defaults())
	m, _ = Decode(record(e))
	if len(m.ID) != 300 || m.Source != "//x" || m.SpecVersion != "1.1" || !m.Timestamp.Equal(at) || m.Timestamp.Nanosecond() != 5 {
		t.Errorf("%+v", m)
	}
}

// The text of a time is kept, for events that have the same.
func TestTimesOfOneEncoder(t *testing.T) {
	var w Encoder
	now := defaults().Now
	other := now.Add(time.Nanosecond)
	zoned := now.In(time.FixedZone("x", 3600))
	for range 2 {
		var encoded []Encoded
		times := []time.Time{{}, now, other, other, zoned, {}, now}
		for _, at := range times {
			e, err := w.Encode(topic.Event("k", model{}).Time(at), defaults())
			if err != nil {
				t.Fatal(err)
			}
			encoded = append(encoded, e)
		}
		for i, at := range times {
			if at.IsZero() {
				at = now
			}
			if m, err := Decode(record(encoded[i])); err != nil || !m.Timestamp.Equal(at) {
				t.Errorf("event %d has the time %v, want %v (error %v)", i, m.Timestamp, at, err)
			}
		}
		w.Reset()
	}
}

type selfMarshaling struct {
	eventmodels.SimpleEvent
	payload []byte
	err     error
}

func (e selfMarshaling) Marshal() ([]byte, string, error) { return e.payload, "text/plain", e.err }

type bare struct{ Name string }

func (bare) GetKey() string                  { return "k" }
func (bare) GetTimestamp() time.Time         { return time.Time{} }
func (bare) GetTopic() string                { return "orders" }
func (bare) GetHeaders() map[string][]string { return nil }

func TestOtherKindsOfEvents(t *testing.T) {
	e, err := new(Encoder).Encode(bare{"n"}, defaults())
	if err != nil || string(e.Payload) != `{"Name":"n"}` {
		t.Errorf("%s, %v", e.Payload, err)
	}
	e, err = new(Encoder).Encode(selfMarshaling{SimpleEvent: topic.Event("k", model{})}, defaults())
	if err != nil || e.Payload != nil {
		t.Errorf("a tombstone has the payload %q (%v)", e.Payload, err)
	}
	if m, _ := Decode(record(e)); m.Data != nil {
		t.Error("a tombstone is decoded with data")
	}
}

func TestRefusedEvents(t *testing.T) {
	cause := errors.New("cause")
	for what, event := range map[string]eventmodels.ProducingEvent{
		"marshal":           selfMarshaling{SimpleEvent: topic.Event("k", model{}), err: cause},
		"not JSON":          eventmodels.BindTopic[func()]("orders").Event("k", func() {}),
		"attribute header":  topic.Event("k", model{}).WithHeader("ce_id", "x"),
		"its alias":         topic.Event("k", model{}).WithHeader("ce_datacontenttype", "x"),
		"content-type":      topic.Event("k", model{}).WithHeader("content-type", "x"),
		"extension's name":  topic.Event("k", model{}).WithHeader("ce_trace-id", "x"),
		"no extension name": topic.Event("k", model{}).WithHeader("ce_", "x"),
		"empty header name": topic.Event("k", model{}).WithHeader("", "x"),
	} {
		_, err := new(Encoder).Encode(event, defaults())
		var invalid *eventmodels.InvalidEventError
		if !errors.As(err, &invalid) || invalid.Topic != "orders" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What the binding's specification allows others to write.
func TestDecodeOthers(t *testing.T) {
	structured := func(contentType, body string) *kafka.Record {
		return &kafka.Record{Value: []byte(body), Headers: []kafka.Header{{Key: "content-type", Value: []byte(contentType)}}, Timestamp: time.UnixMilli(5)}
	}
	for _, test := range []struct {
		name   string
		record *kafka.Record
		want   eventmodels.Message
	}{
		{"object data", structured("application/cloudevents+json; charset=UTF-8",
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x","time":"2020-01-02T03:04:05.5+01:00","datacontenttype":"application/json","data":{"n":1}}`),
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", Subject: "x", ContentType: "application/json", Data: []byte(`{"n":1}`),
				Timestamp: time.Date(2020, 1, 2, 2, 4, 5, 5e8, time.UTC)}},
		{"no content type, charset without a space", structured("application/cloudevents+json;charset=utf-8", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":1}}`),
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", Data: []byte(`{"n":1}`), Timestamp: time.UnixMilli(5)}},
		{"base64", structured("application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/octet-stream","data_base64":"AAH/"}`),
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", ContentType: "application/octet-stream", Data: []byte{0, 1, 255}, Timestamp: time.UnixMilli(5)}},
		{"text", structured("application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"a\nb"}`),
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", ContentType: "text/plain", Data: []byte("a\nb"), Timestamp: time.UnixMilli(5)}},
		{"JSON string", structured("application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data":"a"}`),
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", ContentType: "application/json", Data: []byte(`"a"`), Timestamp: time.UnixMilli(5)}},
		{"no data, extensions", structured("application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":null,"ext":"v","num":5,"yes":true}`),
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", Timestamp: time.UnixMilli(5),
				Headers: map[string][]string{"ce_ext": {"v"}, "ce_num": {"5"}, "ce_yes": {"true"}}}},
		{"plain record", &kafka.Record{Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(5), Headers: []kafka.Header{{Key: "h", Value: nil}}},
			eventmodels.Message{Key: "k", Data: []byte("v"), Timestamp: time.UnixMilli(5), Headers: map[string][]string{"h": {""}}}},
		{"binary with an extension and a bad time", &kafka.Record{Value: []byte("v"), Timestamp: time.UnixMilli(5), Headers: []kafka.Header{
			{Key: "ce_id", Value: []byte("1")}, {Key: "ce_time", Value: []byte("yesterday")}, {Key: "ce_ext", Value: []byte("x")}, {Key: "content-type", Value: []byte("text/plain")}}},
			eventmodels.Message{ID: "1", Data: []byte("v"), ContentType: "text/plain", Timestamp: time.UnixMilli(5), Headers: map[string][]string{"ce_ext": {"x"}}}},
		{"attributes beside an envelope do not count", &kafka.Record{Value: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","ext":null,"data":1}`), Timestamp: time.UnixMilli(5),
			Headers: []kafka.Header{
				{Key: "ce_id", Value: []byte("other")}, {Key: "ce_subject", Value: []byte("other")}, {Key: "ce_time", Value: []byte("2020-01-02T03:04:05Z")},
				{Key: "ce_ext", Value: []byte("other")}, {Key: "h", Value: []byte("v")}, {Key: "content-type", Value: []byte(" Application/CloudEvents+JSON")}}},
			eventmodels.Message{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t", Data: []byte("1"), Timestamp: time.UnixMilli(5), Headers: map[string][]string{"h": {"v"}}}},
		{"small letters in the time", &kafka.Record{Value: []byte("v"), Timestamp: time.UnixMilli(5), Headers: []kafka.Header{
			{Key: "ce_id", Value: []byte("1")}, {Key: "ce_time", Value: []byte("2020-01-02t03:04:05.25z")}, {Key: "ce_datacontenttype", Value: []byte("text/plain")}}},
			eventmodels.Message{ID: "1", Data: []byte("v"), ContentType: "text/plain", Timestamp: time.Date(2020, 1, 2, 3, 4, 5, 25e7, time.UTC)}},
		{"the content-type header has the last word", &kafka.Record{Value: []byte("v"), Timestamp: time.UnixMilli(5), Headers: []kafka.Header{
			{Key: "ce_datacontenttype", Value: []byte("b")}, {Key: "content-type", Value: []byte("a")}}},
			eventmodels.Message{Data: []byte("v"), ContentType: "a", Timestamp: time.UnixMilli(5)}},
		{"data that looks like an envelope", &kafka.Record{Value: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`), Timestamp: time.UnixMilli(5), Headers: []kafka.Header{
			{Key: "ce_id", Value: []byte("2")}}},
			eventmodels.Message{ID: "2", Data: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`), Timestamp: time.UnixMilli(5)}},
		{"a tombstone that says that it is structured", &kafka.Record{Key: []byte("k"), Timestamp: time.UnixMilli(5), Headers: []kafka.Header{
			{Key: "content-type", Value: []byte("application/cloudevents+json")}}},
			eventmodels.Message{Key: "k", ContentType: "application/cloudevents+json", Timestamp: time.UnixMilli(5)}},
		{"a plain record with some of the attributes", &kafka.Record{Value: []byte(`{"specversion":"1.0","id":"1","type":"t"}`), Timestamp: time.UnixMilli(5)},
			eventmodels.Message{Data: []byte(`{"specversion":"1.0","id":"1","type":"t"}`), Timestamp: time.UnixMilli(5)}},
		{"a plain record with another version", &kafka.Record{Value: []byte(`{"specversion":"7","id":"1","source":"/s","type":"t"}`), Timestamp: time.UnixMilli(5)},
			eventmodels.Message{Data: []byte(`{"specversion":"7","id":"1","source":"/s","type":"t"}`), Timestamp: time.UnixMilli(5)}},
		{"a plain record that is almost an envelope", &kafka.Record{Value: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"*"}`), Timestamp: time.UnixMilli(5)},
			eventmodels.Message{Data: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"*"}`), Timestamp: time.UnixMilli(5)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := Decode(test.record)
			if err != nil {
				t.Fatal(err)
			}
			if !m.Timestamp.Equal(test.want.Timestamp) {
				t.Errorf("time %v, want %v", m.Timestamp, test.want.Timestamp)
			}
			m.Timestamp, test.want.Timestamp = time.Time{}, time.Time{}
			if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("got  %+v\nwant %+v", m, test.want)
			}
		})
	}
	for _, test := range []struct{ contentType, body string }{
		{"application/cloudevents+json", `secret-body`},
		{"application/cloudevents+json", `null`},
		{"application/cloudevents+json", `{"data_base64":"secret*"}`},
		{"application/cloudevents-batch+json", `[]`},
		{"application/cloudevents+avro", `x`},
	} {
		_, err := Decode(structured(test.contentType, test.body))
		if !errors.Is(err, eventmodels.ErrDecode) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
