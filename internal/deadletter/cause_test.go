package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
)

func TestBlank(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"no such customer", "no such customer"},
		{"order 4711 has 3 items", "order # has # items"},
		{"order order-0012 of 2026-01-02T03:04:05.6Z: unknown", "order # of #: unknown"},
		{"id 0190a6b2-7c1d-7e3f-8a00-1234567890ab is taken.", "id # is taken."},
		{`key "k" (none of 'a', 'b')`, "key “…” (none of “…”, “…”)"},
		{"the customer doesn't exist, isn't it", "the customer doesn't exist, isn't it"},
		{"dial tcp 10.0.0.1:5432: connect: connection refused", "dial tcp #: connect: connection refused"},
		{"timed out after 1m3.5s", "timed out after #"},
		{"an open \"quote 5", "an open \"quote #"},
		{"two\n  lines\tand  blanks ", "two lines and blanks "},
		{"a -- b .. c", "a -- b .. c"},
		{strings.Repeat("x", 300), strings.Repeat("x", 200)},
		{"größe 5€ 'ü", "größe #€ 'ü"},
	} {
		if got := blank(test.text); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.text, got, test.want)
		}
	}
}

func FuzzBlank(f *testing.F) {
	f.Add("order 4711: \"x\" isn't 'y' `z` 5ms \xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := blank(text)
		if n := utf8.RuneCountInString(got); n > causeText || !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q: %d characters", text, got, n)
		}
		if strings.ContainsAny(got, "0123456789") {
			t.Fatalf("%q becomes %q, which has digits", text, got)
		}
	})
}

type customError struct{ id int }

func (e *customError) Error() string { return fmt.Sprintf("custom %d", e.id) }

// panicking panics somewhere below, as a handler does.
func panicking() (err error) {
	defer func() { err = &delivery.PanicError{Value: recover(), Stack: debug.Stack()} }()
	var m map[string]int
	func() { m["a"]++ }()
	return nil
}

func TestClass(t *testing.T) {
	decode := json.Unmarshal([]byte("{"), &struct{}{})
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("x"), ""},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", &customError{1})), "*deadletter.customError"},
		{fmt.Errorf("a: %w", &fs.PathError{Op: "open", Path: "p", Err: &customError{1}}), "*deadletter.customError"},
		{errors.Join(&customError{1}, &fs.PathError{Err: errors.New("x")}), "*deadletter.customError"},
		{eventmodels.SetErrorHandling(&customError{1}, eventmodels.DoNotRetry), "*deadletter.customError"},
		{eventmodels.RetryAfter(errors.New("x"), 5), ""},
		{fmt.Errorf("%w: %w", eventmodels.ErrDecode, decode), "decode"},
		{fmt.Errorf("insert: %w", &pgconn.PgError{Code: "23505"}), "SQLSTATE 23505"},
		{fmt.Errorf("produce: %w", kerr.TopicAuthorizationFailed), "Kafka TOPIC_AUTHORIZATION_FAILED"},
		{fmt.Errorf("%w (5m): %w", eventmodels.TimeoutErr, context.DeadlineExceeded), "timeout"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if got := classOf(test.err); got != test.want {
			t.Errorf("%v is a %q, want %q", test.err, got, test.want)
		}
	}
}

const panicStack = `goroutine 7 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
github.com/seed46dd6f11/events/internal/delivery.runSafely.func1()
	/root/events/internal/delivery/worker.go:99 +0x5e
panic({0x1?, 0x2?})
	/usr/local/go/src/runtime/panic.go:859 +0x132
runtime.goPanicIndex(0x1, 0x2)
	/usr/local/go/src/runtime/panic.go:115 +0x74
encoding/json.Unmarshal({0x1, 0x2, 0x3}, {0x1, 0x2})
	/usr/local/go/src/encoding/json/decode.go:97 +0x74
%s
	/app/invoice.go:12 +0x74
github.com/seed46dd6f11/events/eventmodels.(*handler[...]).Handle(0x1, {0x1, 0x2}, 0x3)
	/root/events/eventmodels/handler.go:57 +0x5e
`

func TestPanicFrame(t *testing.T) {
	for frame, want := range map[string]string{
		"example.com/shop/billing.(*Service).Invoice(0xc0001, {0x1, 0x2})": "example.com/shop/billing.(*Service).Invoice",
		"main.invoice(...)":          "main.invoice",
		"main.main.func1({0x1})":     "main.main.func1",
		"shop/billing.invoice({})":   "shop/billing.invoice",
		"billing.Handle[...](0x123)": "billing.Handle[...]",
	} {
		if got := panicFrame(fmt.Sprintf(panicStack, frame)); got != want {
			t.Errorf("%s: the frame is %q", frame, got)
		}
	}
	for _, stack := range []string{"", "panic(", "panic(\n\n\n", "x\ny"} {
		if got := panicFrame(stack); got != "" {
			t.Errorf("%q: %q", stack, got)
		}
	}
	var panicked *delivery.PanicError
	if !errors.As(panicking(), &panicked) || !strings.HasPrefix(classOf(panicked), "panic in ") {
		t.Errorf("a real panic is a %q", classOf(panicked))
	}
}

// A thousand failures of three kinds have three causes.
func TestCause(t *testing.T) {
	causes := make(map[string]int)
	for n := range 1000 {
		err := fmt.Errorf("customer %d: %w", n, &customError{n})
		handler := "invoice"
		switch n % 3 {
		case 1:
			err = fmt.Errorf("customer %d is blocked", n)
		case 2:
			handler = "mail"
		}
		causes[Cause(handler, err)]++
	}
	if len(causes) != 3 {
		t.Errorf("causes: %v", causes)
	}
	if Cause("ab", errors.New("c")) == Cause("a", errors.New("bc")) {
		t.Error("the parts run into each other")
	}
}
