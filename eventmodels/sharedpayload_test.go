package eventmodels

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// countingCodec decodes into *string and counts; data that is "panic" panics,
// "error" is refused.
type countingCodec struct{ decoded *atomic.Int32 }

func (countingCodec) Encode(any) ([]byte, error) { return nil, errors.New("not used") }
func (c countingCodec) Decode(data []byte, payload any) error {
	c.decoded.Add(1)
	switch string(data) {
	case "panic":
		panic("bad data")
	case "error":
		return errors.New("refused")
	}
	switch into := payload.(type) {
	case *[]string:
		*into = []string{string(data)}
	case *string:
		*into = string(data)
	}
	return nil
}

// The copies of a message share what was decoded first, if it is of their type.
func TestSharedPayload(t *testing.T) {
	var decoded atomic.Int32
	RegisterCodec("application/x-shared-payload", countingCodec{&decoded})
	message := func(data string) Message {
		m := Message{Topic: "t", Data: []byte(data), ContentType: "application/x-shared-payload"}
		m.SharePayload()
		return m
	}
	list := BindTopic[[]string]("t")
	run := func(h HandlerInterface, m Message) error { return h.Handle(context.Background(), &m) }

	m := message("data")
	var mu sync.Mutex
	var payloads []*string
	keep := list.Handler(func(_ context.Context, e Event[[]string]) error {
		mu.Lock()
		defer mu.Unlock()
		if len(e.Payload) != 1 || e.Payload[0] != "data" {
			t.Errorf("payload %q", e.Payload)
		}
		payloads = append(payloads, &e.Payload[0])
		return nil
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := run(keep, m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := decoded.Swap(0)
	if n < 1 || n > 8 || len(payloads) != 8 {
		t.Errorf("8 handlers at a time: %d calls, decoded %d times", len(payloads), n)
	}
	payloads = nil
	for range 8 {
		if err := run(keep, m); err != nil {
			t.Error(err)
		}
	}
	if n := decoded.Swap(0); n != 0 {
		t.Errorf("8 handlers, one after the other, when it was decoded: decoded %d times", n)
	}
	for _, p := range payloads {
		if p != payloads[0] {
			t.Error("two payloads are shared")
		}
	}
	text := BindTopic[string]("t").Handler(func(_ context.Context, e Event[string]) error {
		if e.Payload != "data" {
			t.Errorf("payload %q", e.Payload)
		}
		return nil
	})
	for range 2 {
		if err := run(text, m); err != nil {
			t.Error(err)
		}
	}
	if n := decoded.Swap(0); n != 2 {
		t.Errorf("2 handlers of another type: decoded %d times", n)
	}

	m = message("error")
	for range 3 {
		if err := run(text, m); !errors.Is(err, ErrDecode) {
			t.Errorf("error %v", err)
		}
	}
	if n := decoded.Swap(0); n != 3 {
		t.Errorf("refused data, which may be taken the next time: decoded %d times", n)
	}

	m = message("panic")
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a handler whose codec panics has returned")
				}
			}()
			_ = run(text, m)
		}()
	}
	if n := decoded.Swap(0); n != 3 {
		t.Errorf("data with which the codec panics: decoded %d times", n)
	}

	alone := message("data")
	alone.shared = nil
	for range 2 {
		if err := run(text, alone); err != nil {
			t.Error(err)
		}
	}
	if n := decoded.Swap(0); n != 2 {
		t.Errorf("a message that is not shared: decoded %d times in 2 runs", n)
	}
}

// A handler that is wrapped may change its message, which others do not see: its
// payload is that of its own data, whoever decodes first.
func TestSharedPayloadOfChangedMessages(t *testing.T) {
	topic := BindTopic[[]string]("t")
	for name, change := range map[string]func(*Message){
		"data":         func(m *Message) { m.Data = []byte(`["changed"]`) },
		"less data":    func(m *Message) { m.Data, m.SpecVersion = m.Data[:0], "1.0" },
		"no data":      func(m *Message) { m.Data = nil },
		"content type": func(m *Message) { m.ContentType = "application/x-unknown" },
	} {
		result := func(m Message) (payload []string, err error) {
			err = topic.Handler(func(_ context.Context, e Event[[]string]) error {
				payload = e.Payload
				return nil
			}).Handle(context.Background(), &m)
			return payload, err
		}
		message := Message{Topic: "t", Data: []byte(`["initial"]`)}
		changed := message
		change(&changed)
		want, wantErr := result(message)
		wantChanged, wantChangedErr := result(changed)

		for _, first := range []bool{false, true} { // which of them is
			shared := message
			shared.SharePayload()
			changed := shared
			change(&changed)
			if first {
				_, _ = result(changed)
			}
			for range 2 {
				if got, err := result(shared); !slices.Equal(got, want) || !errors.Is(err, wantErr) {
					t.Errorf("%s: %q, %v beside a changed message; want %q, %v", name, got, err, want, wantErr)
				}
				if got, err := result(changed); !slices.Equal(got, wantChanged) || (err == nil) != (wantChangedErr == nil) {
					t.Errorf("%s, changed: %q, %v; want %q, %v", name, got, err, wantChanged, wantChangedErr)
				}
			}
		}
	}
}

// BenchmarkHandlers is what ten handlers of a topic cost, from their messages on.
func BenchmarkHandlers(b *testing.B) {
	type order struct {
		ID                           int64
		Customer, Status, Note, Also string
		Cents                        int64
	}
	topic := BindTopic[order]("t")
	h := topic.Handler(func(context.Context, Event[order]) error { return nil })
	data := []byte(`{"ID":17,"Customer":"customer-000017","Status":"placed","Note":"deliver to the back door of number twelve","Also":"x","Cents":1999}`)
	for _, shared := range []bool{false, true} {
		name := "alone"
		if shared {
			name = "shared"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := Message{Topic: "t", Data: data, ContentType: ContentTypeJSON}
				if shared {
					m.SharePayload()
				}
				for range 10 {
					own := m
					if err := h.Handle(context.Background(), &own); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
