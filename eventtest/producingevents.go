package eventtest

import (
	"bytes"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

// rawEvent is an event of a type of the test's own, that brings its bytes.
type rawEvent struct {
	eventmodels.SimpleEvent
	payload     []byte
	contentType string
}

var rawTopic = eventmodels.BindTopic[any]("raw")

func raw(key string, payload []byte) rawEvent {
	return rawEvent{SimpleEvent: rawTopic.Event(key, nil), payload: payload, contentType: "application/octet-stream"}
}

func (e rawEvent) Marshal() ([]byte, string, error) { return e.payload, e.contentType, nil }

// announced is the configuration of a topic with the defaults.
func announced(topic string) kafka.TopicConfig { return kafka.TopicConfig{Topic: topic} }

// newCable is a way to brokers of any kind that can be cut, stalled and
// slowed. It is whole again at the end of the test.
func newCable(t testing.TB) *eventembed.Dialer {
	dialer := eventembed.NewDialer(t.Name(), (&net.Dialer{Timeout: 10 * time.Second}).DialContext)
	t.Cleanup(dialer.Restore)
	return dialer
}

// strangeEvents are events whose bytes are easily lost on the way. Their
// subjects are distinct.
func strangeEvents() []rawEvent {
	all := string(allBytes())
	with := func(e rawEvent, change func(eventmodels.SimpleEvent) eventmodels.SimpleEvent) rawEvent {
		e.SimpleEvent = change(e.SimpleEvent)
		return e
	}
	events := []rawEvent{
		raw("k", allBytes()),
		raw("nul\x00nul", []byte{0}),
		raw("\xff\xfe\x80", []byte("\xc3\x28")),
		raw(all, nil),
		raw("", []byte("no key")),
		raw("tombstone", nil),
		raw("empty", []byte{}),
		with(raw("id", []byte("x")), func(e eventmodels.SimpleEvent) eventmodels.SimpleEvent { return e.ID(strings.Repeat("ä\x00'\"", 75)) }),
		with(raw("headers", []byte("x")), func(e eventmodels.SimpleEvent) eventmodels.SimpleEvent {
			return e.WithHeader("all", all, "", "\x00").WithHeader("na\x00me\xff", "v")
		}),
	}
	for i := range events {
		events[i] = with(events[i], func(e eventmodels.SimpleEvent) eventmodels.SimpleEvent { return e.Subject(strconv.Itoa(i)) })
	}
	return events
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// checkStrange compares events with their records.
func checkStrange(t testing.TB, events []rawEvent, records []*kgo.Record) {
	t.Helper()
	if len(records) != len(events) {
		t.Errorf("%d records for %d events", len(records), len(events))
	}
	bySubject := make(map[string]*kgo.Record)
	for _, r := range records {
		subject, _ := header(r, "ce_subject")
		bySubject[subject] = r
	}
	for i, e := range events {
		r := bySubject[strconv.Itoa(i)]
		if r == nil {
			t.Errorf("event %d (key %q) is not there", i, e.GetKey())
			continue
		}
		if string(r.Key) != e.GetKey() || (r.Key == nil) != (e.GetKey() == "") {
			t.Errorf("event %d: key %q became %q (nil: %t)", i, e.GetKey(), r.Key, r.Key == nil)
		}
		if !bytes.Equal(r.Value, e.payload) || (r.Value == nil) != (e.payload == nil) {
			t.Errorf("event %d: payload %q became %q (nil: %t)", i, e.payload, r.Value, r.Value == nil)
		}
		id, ok := header(r, "ce_id")
		if want := e.Attributes().ID; !ok || id == "" || want != "" && id != want {
			t.Errorf("event %d: id %q became %q", i, want, id)
		}
		got := make(map[string][]string)
		for _, h := range r.Headers {
			if !strings.HasPrefix(h.Key, "ce_") && h.Key != "content-type" {
				got[h.Key] = append(got[h.Key], string(h.Value))
			}
		}
		if want := e.Header(); !maps.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Errorf("event %d: headers %q became %q", i, want, got)
		}
	}
}
