package eventmodels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

type model struct {
	Name string `json:"name"`
}

func TestSimpleEventsShareNothing(t *testing.T) {
	base := BindTopic[model]("t").Event("k", model{"n"}).WithHeader("h", "1")
	a, b := base.ID("one").WithHeader("h", "2").WithHeader("a", "x"), base.ID("two").Subject("s")
	if base.Attributes().ID != "" || a.Attributes().ID != "one" || b.Attributes().ID != "two" || a.Attributes().Subject != "" {
		t.Errorf("attributes are shared: %+v %+v %+v", base.Attributes(), a.Attributes(), b.Attributes())
	}
	if fmt.Sprint(base.Header()) != "map[h:[1]]" || fmt.Sprint(a.Header()) != "map[a:[x] h:[2]]" || fmt.Sprint(b.Header()) != "map[h:[1]]" {
		t.Errorf("headers are shared: %v %v %v", base.Header(), a.Header(), b.Header())
	}
	copied := base.Header()
	copied["h"][0] = "changed"
	copied["new"] = nil
	if fmt.Sprint(base.Header()) != "map[h:[1]]" {
		t.Errorf("Header() is not a copy: %v", base.Header())
	}
	if gone := a.WithHeader("h"); fmt.Sprint(gone.Header()) != "map[a:[x]]" {
		t.Errorf("WithHeader without values leaves %v", gone.Header())
	}
	values := []string{"v"}
	e := base.WithHeader("own", values...)
	values[0] = "changed"
	if e.Header()["own"][0] != "v" {
		t.Error("WithHeader keeps the caller's slice")
	}
}

func TestHandlersDecode(t *testing.T) {
	ctx := context.Background()
	topic := BindTopic[model]("t")
	var got []Event[model]
	h := topic.Handler(func(_ context.Context, e Event[model]) error { got = append(got, e); return nil })
	m := &Message{Topic: "t", Key: "k", Data: []byte(`{"name":"n"}`), ID: "1", Attempt: 3, Offset: 9}
	if err := h.Handle(ctx, m); err != nil || len(got) != 1 || got[0].Payload.Name != "n" || got[0].Attempt != 3 || got[0].Offset != 9 {
		t.Fatalf("%v, %+v", err, got)
	}
	for _, data := range []string{`{"name":`, `{"name":"secret-value-17","name":12.5}`, `[1]`} {
		err := h.Handle(ctx, &Message{Topic: "t", ID: "1", Data: []byte(data)})
		if !errors.Is(err, ErrDecode) || GetErrorHandling(err) != DoNotRetry {
			t.Errorf("%s: %v is not ErrDecode, or would be retried", data, err)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "12.5") {
			t.Errorf("the error quotes the body: %v", err)
		}
	}
	if err := h.Handle(ctx, &Message{Topic: "t", ContentType: "application/x-unknown", Data: []byte("?")}); !errors.Is(err, ErrDecode) {
		t.Errorf("unknown content type: %v", err)
	}
	if err := h.Handle(ctx, &Message{Topic: "t"}); err != nil || got[len(got)-1].Payload != (model{}) {
		t.Errorf("a tombstone: %v, %+v", err, got[len(got)-1])
	}
	if err := h.Handle(ctx, &Message{Topic: "t", SpecVersion: "1.0", Data: []byte{}}); err != nil || got[len(got)-1].Payload != (model{}) {
		t.Errorf("an event with an empty value: %v, %+v", err, got[len(got)-1])
	}
	if err := h.Handle(ctx, &Message{Topic: "t", Data: []byte{}}); !errors.Is(err, ErrDecode) {
		t.Errorf("a plain record with an empty value: %v", err)
	}
}

func TestBatchNamesWhatCannotBeDecoded(t *testing.T) {
	ctx := context.Background()
	bad, one, two := &Message{Data: []byte("{")}, &Message{Data: []byte(`{"name":"1"}`)}, &Message{Data: []byte(`{"name":"2"}`)}
	cause := errors.New("two failed")
	h := BindTopic[model]("t").BatchHandler(func(_ context.Context, es []Event[model]) error {
		var failed BatchError
		for i, e := range es {
			if e.Payload.Name == "2" {
				failed.Fail(i, cause)
			}
		}
		return failed.Err()
	})
	var failed *BatchError
	if err := h.HandleBatch(ctx, []*Message{one, bad, two}); !errors.As(err, &failed) {
		t.Fatalf("%v", err)
	}
	if len(failed.Errors) != 2 || !errors.Is(failed.Errors[1], ErrDecode) || !errors.Is(failed.Errors[2], cause) {
		t.Errorf("%v", failed.Errors)
	}
	if err := h.HandleBatch(ctx, []*Message{one}); err != nil {
		t.Errorf("a good batch: %v", err)
	}
	if err := h.HandleBatch(ctx, nil); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
	plain := BindTopic[model]("t").BatchHandler(func(context.Context, []Event[model]) error { return cause })
	if err := plain.HandleBatch(ctx, []*Message{bad, one}); !errors.As(err, &failed) || !errors.Is(failed.Errors[1], cause) || !errors.Is(failed.Errors[0], ErrDecode) {
		t.Errorf("%v", err)
	}
}

func TestErrorHandling(t *testing.T) {
	plain := errors.New("plain")
	for _, test := range []struct {
		err  error
		want ErrorHandling
	}{
		{plain, RetryUntilTimeout},
		{SetErrorHandling(plain, DoNotRetry), DoNotRetry},
		{fmt.Errorf("wrapped: %w", SetErrorHandling(plain, IgnoreError)), IgnoreError},
		{SetErrorHandling(SetErrorHandling(plain, IgnoreError), RetryUntilTimeout), RetryUntilTimeout},
		{&DecodeError{}, DoNotRetry},
		{SetErrorHandling(&DecodeError{}, IgnoreError), IgnoreError},
	} {
		if got := GetErrorHandling(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
		if !errors.Is(test.err, plain) && !errors.Is(test.err, ErrDecode) {
			t.Errorf("%v hides its cause", test.err)
		}
	}
	if SetErrorHandling(nil, DoNotRetry) != nil || RetryAfter(nil, time.Second) != nil {
		t.Error("a nil error became one")
	}
	if d, ok := GetRetryAfter(fmt.Errorf("x: %w", RetryAfter(plain, time.Minute))); !ok || d != time.Minute {
		t.Errorf("RetryAfter: %v %v", d, ok)
	}
	if _, ok := GetRetryAfter(plain); ok {
		t.Error("a plain error has a RetryAfter")
	}
}

func TestIDs(t *testing.T) {
	s, b := StringEventID{}.New(), BinaryEventID{}.New()
	if s.Version() != 7 || b.Version() != 7 {
		t.Errorf("versions %v and %v, want 7", s.Version(), b.Version())
	}
	if v, err := s.Value(); err != nil || v != s.String() {
		t.Errorf("StringEventID is stored as %v (%v)", v, err)
	}
	v, err := b.Value()
	if raw, ok := v.([]byte); err != nil || !ok || len(raw) != 16 {
		t.Errorf("BinaryEventID is stored as %v (%v)", v, err)
	}
	var back BinaryEventID
	if err := back.Scan(v); err != nil || back != b {
		t.Errorf("scanned %v (%v)", back, err)
	}
}

type reversed struct{}

func (reversed) Encode(p any) ([]byte, error) { return json.Marshal(p) }
func (reversed) Decode(_ []byte, p any) error { *p.(*model) = model{"from codec"}; return nil }

func TestRegisteredCodecIsFoundWhateverItsParameters(t *testing.T) {
	RegisterCodec("application/x-reversed", reversed{})
	var got Event[model]
	h := BindTopic[model]("t").Handler(func(_ context.Context, e Event[model]) error { got = e; return nil })
	if err := h.Handle(context.Background(), &Message{ContentType: "Application/X-Reversed; charset=utf-8", Data: []byte("x")}); err != nil || got.Payload.Name != "from codec" {
		t.Errorf("%v, %+v", err, got)
	}
	for _, contentType := range []string{"", "application/json", "application/json;charset=UTF-8", "application/vnd.shop+json", "text/json"} {
		if err := h.Handle(context.Background(), &Message{ContentType: contentType, Data: []byte(`{"name":"json"}`)}); err != nil || got.Payload.Name != "json" {
			t.Errorf("%q: %v, %+v", contentType, err, got)
		}
	}
}

// What a codec says of its own error holds; without that an event that cannot
// be decoded is not tried again. The codec's text, which may quote the payload,
// is not in that of the error.
func TestCodecsErrorHandling(t *testing.T) {
	noAnswer := errors.New("the registry does not know \"secret\" yet")
	for mediaType, test := range map[string]struct {
		err  error
		want ErrorHandling
	}{
		"application/x-wrong": {noAnswer, DoNotRetry},
		"application/x-asks":  {SetErrorHandling(RetryAfter(noAnswer, time.Minute), RetryUntilTimeout), RetryUntilTimeout},
		"application/x-skips": {SetErrorHandling(noAnswer, IgnoreError), IgnoreError},
	} {
		RegisterCodec(mediaType, failingCodec{test.err})
		err := BindTopic[int]("t").Handler(func(context.Context, Event[int]) error {
			t.Error("the handler was called")
			return nil
		}).Handle(t.Context(), &Message{Topic: "t", ContentType: mediaType, Data: []byte("secret")})
		if got := GetErrorHandling(err); !errors.Is(err, ErrDecode) || !errors.Is(err, noAnswer) || got != test.want {
			t.Errorf("%s: %v, which is %v, not %v", mediaType, err, got, test.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the payload: %v", mediaType, err)
		}
		if d, ok := GetRetryAfter(err); ok != (test.want == RetryUntilTimeout) || ok && d != time.Minute {
			t.Errorf("%s: tried again after %v, %t", mediaType, d, ok)
		}
	}
}

type failingCodec struct{ err error }

func (c failingCodec) Encode(any) ([]byte, error) { return nil, c.err }
func (c failingCodec) Decode([]byte, any) error   { return c.err }

// A handler without function is a mistake that is told where it is made.
func TestHandlersNeedAFunction(t *testing.T) {
	topic := BindTopicTx[int, StringEventID, AbstractTX, AbstractDB[StringEventID, AbstractTX]]("orders")
	for name, make := range map[string]func(){
		"Handler":        func() { topic.Handler(nil) },
		"BatchHandler":   func() { topic.BatchHandler(nil) },
		"HandlerTx":      func() { topic.HandlerTx(nil) },
		"BatchHandlerTx": func() { topic.BatchHandlerTx(nil) },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "orders") {
					t.Errorf("%s(nil): %v", name, r)
				}
			}()
			make()
		}()
	}
}
