package cloudevents

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Whatever comes, in whatever order and from how many goroutines: what is
// returned is what was given, and a string that comes twice in a row is one.
func TestRepeated(t *testing.T) {
	r := newRepeated()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				want := fmt.Sprint("source-", (i*7+g)%5_000)
				if got := r.of([]byte(want)); got != want {
					t.Errorf("%q for %q", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, text := range []string{"", "a", strings.Repeat("x", longestRepeated), strings.Repeat("x", longestRepeated+1)} {
		first, second := r.of([]byte(text)), r.of([]byte(text))
		if first != text || second != text {
			t.Errorf("%q and %q for %q", first, second, text)
		}
		kept := len(text) > 0 && len(text) <= longestRepeated
		if same := unsafe.StringData(first) == unsafe.StringData(second); kept && !same || !kept && len(text) > 0 && same {
			t.Errorf("%d bytes: the same string: %t", len(text), same)
		}
	}
	if got := (*repeated)(nil).of([]byte("x")); got != "x" {
		t.Errorf("%q of none", got)
	}
}

// A message refers to the record's memory with its Data alone.
func TestMessagesKeepNoRecords(t *testing.T) {
	names := []string{headerID, headerSource, headerSpecVersion, headerType, headerSubject, headerDataSchema, headerContentType, "custom"}
	read := NewDecoder()
	r := &kafka.Record{Key: []byte("key"), Value: []byte("value")}
	for _, name := range names {
		r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte("of " + name)})
	}
	var m eventmodels.Message
	for range 2 {
		if err := read.Decode(r, &m); err != nil {
			t.Fatal(err)
		}
	}
	clear(r.Key)
	for i := range r.Headers {
		clear(r.Headers[i].Value)
	}
	got := []string{m.ID, m.Source, m.SpecVersion, m.Type, m.Subject, m.DataSchema, m.ContentType, m.Headers["custom"][0]}
	for i, name := range names {
		if got[i] != "of "+name {
			t.Errorf("%s is %q", name, got[i])
		}
	}
	if m.Key != "key" {
		t.Errorf("the key is %q", m.Key)
	}
}

func BenchmarkDecode(b *testing.B) {
	event := &kafka.Record{Key: []byte("order-17"), Value: make([]byte, 250)}
	for name, value := range map[string]string{
		headerID: "0190d4f0-0000-7000-8000-000000000001", headerSource: "shop", headerSpecVersion: "1.0", headerType: "orders.placed",
		headerTime: "2026-01-02T03:04:05.678901Z", headerContentType: "application/json",
	} {
		event.Headers = append(event.Headers, kafka.Header{Key: name, Value: []byte(value)})
	}
	plain := &kafka.Record{Key: []byte("order-17"), Value: []byte(`{"id":17,"customer":"customer-004711","status":"placed","currency":"EUR","cents":1234,"placed_at":"2026-01-02T03:04:05Z","note":"leave it behind the back door of number twelve, between nine and eleven in the morning; ring twice"}`)}
	for name, r := range map[string]*kafka.Record{"event": event, "plain": plain} {
		b.Run(name, func(b *testing.B) {
			read := NewDecoder()
			var m eventmodels.Message
			b.ReportAllocs()
			for b.Loop() {
				if err := read.Decode(r, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
