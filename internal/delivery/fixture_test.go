package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/kafka"
)

var errTest = errors.New("it does not work")

// fixture is an engine with a scripted broker in a synctest bubble.
type fixture struct {
	*broker
	t      *testing.T
	cfg    Config
	engine *Engine
	began  time.Time

	mu    sync.Mutex
	calls []call
	logs  bytes.Buffer
}

// call is a call of a handler.
type call struct {
	handler string
	at      time.Duration
	tp      kafka.TopicPartition
	offset  int64
	attempt int
	values  any
}

type fixtureKey struct{}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, broker: newBroker(), began: time.Now()}
	f.cfg = Config{
		Group:  "billing",
		Slots:  NewSlots(20),
		Decode: decode,
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{f: f}, nil)),
		Values: context.WithValue(t.Context(), fixtureKey{}, "value"),
	}
	return f
}

func decode(r *kafka.Record, into *eventmodels.Message) error {
	*into = eventmodels.Message{ID: fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset), Data: r.Value}
	return nil
}

type lockedWriter struct{ f *fixture }

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	return w.f.logs.Write(p)
}

// handle registers a handler without jitter whose calls are noted.
func (f *fixture) handle(name, topic string, run func(ctx context.Context, m *eventmodels.Message) error) *Handler {
	h := &Handler{
		Name: name, Topic: topic, WireTopic: kafka.WireTopic(topic),
		OnFailure: eventmodels.OnFailureDiscard,
		Backoff:   backoff.Schedule{Min: time.Second, Max: 30 * time.Second},
	}
	h.Run = func(ctx context.Context, ms []*eventmodels.Message) error {
		m := ms[0]
		f.mu.Lock()
		f.calls = append(f.calls, call{name, time.Since(f.began), at(topic, m.Partition), m.Offset, m.Attempt, ctx.Value(fixtureKey{})})
		f.mu.Unlock()
		if run == nil {
			return nil
		}
		return run(ctx, m)
	}
	f.cfg.Handlers = append(f.cfg.Handlers, h)
	return h
}

// batch is a call of a batch handler.
type batch struct {
	at       time.Duration
	offsets  []int64
	attempts []int
	deadline time.Duration
}

// batches are the calls of a batch handler.
type batches struct {
	f   *fixture
	all []batch // guarded by f.mu
}

// handleBatch registers a handler of batches of at most n, one at a time,
// without jitter, whose calls are noted.
func (f *fixture) handleBatch(name, topic string, n int, run func(ctx context.Context, ms []*eventmodels.Message) error) (*Handler, *batches) {
	noted := &batches{f: f}
	h := f.handle(name, topic, nil)
	h.Batch, h.Concurrency = n, 1
	h.Run = func(ctx context.Context, ms []*eventmodels.Message) error {
		deadline, _ := ctx.Deadline()
		b := batch{at: time.Since(f.began), deadline: deadline.Sub(f.began)}
		for _, m := range ms {
			b.offsets, b.attempts = append(b.offsets, m.Offset), append(b.attempts, m.Attempt)
		}
		f.mu.Lock()
		noted.all = append(noted.all, b)
		f.mu.Unlock()
		return run(ctx, ms)
	}
	return h, noted
}

// String is one line for each call: when, which offsets, and the attempts that
// are not the first.
func (b *batches) String() string {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	var s strings.Builder
	for _, c := range b.all {
		fmt.Fprintf(&s, "%.4g:", c.at.Seconds())
		for i := 0; i < len(c.offsets); i++ {
			from := i
			for i+1 < len(c.offsets) && c.offsets[i+1] == c.offsets[i]+1 && c.attempts[i+1] == c.attempts[from] {
				i++
			}
			fmt.Fprintf(&s, " %d", c.offsets[from])
			if i > from {
				fmt.Fprintf(&s, "-%d", c.offsets[i])
			}
			if c.attempts[from] > 1 {
				fmt.Fprintf(&s, "#%d", c.attempts[from])
			}
		}
		s.WriteString("\n")
	}
	return s.String()
}

// want compares with lines; blanks around them do not matter.
func (b *batches) want(lines string) {
	b.f.t.Helper()
	var want strings.Builder
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			want.WriteString(line + "\n")
		}
	}
	if got := b.String(); got != want.String() {
		b.f.t.Errorf("calls\n%swant\n%s", got, want.String())
	}
}

// start makes and starts the engine and assigns partitions.
func (f *fixture) start(tps ...kafka.TopicPartition) *Engine {
	f.t.Helper()
	e, err := New(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.engine = e
	var c Committer
	if f.cfg.Group != "" {
		c = f.broker
	}
	e.Start(f.broker, c)
	if len(tps) > 0 {
		f.assign(e, tps...)
	}
	return e
}

// stop drains and stops.
func (f *fixture) stop() {
	f.engine.Drain(context.Background())
	f.engine.Stop()
}

// settle lets virtual time pass, and everything that happens in it.
func (f *fixture) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f *fixture) called() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

// count counts the calls of a handler.
func (f *fixture) count(handler string) int {
	n := 0
	for _, c := range f.called() {
		if c.handler == handler {
			n++
		}
	}
	return n
}

// times are the times of a handler's calls, in seconds.
func (f *fixture) times(handler string) string {
	var all []string
	for _, c := range f.called() {
		if c.handler == handler {
			all = append(all, fmt.Sprintf("%.4g", c.at.Seconds()))
		}
	}
	return strings.Join(all, " ")
}

func (f *fixture) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logs.String()
}

func (f *fixture) wantCommitted(tp kafka.TopicPartition, want int64) {
	f.t.Helper()
	if got := f.committedAt(tp); got != want {
		f.t.Errorf("committed offset of %v is %d, want %d", tp, got, want)
	}
}

func (f *fixture) wantCount(handler string, want int) {
	f.t.Helper()
	if got := f.count(handler); got != want {
		f.t.Errorf("%s was called %d times, want %d", handler, got, want)
	}
}

func (f *fixture) wantTimes(handler, want string) {
	f.t.Helper()
	if got := f.times(handler); got != want {
		f.t.Errorf("%s was called at\n%s, want\n%s", handler, got, want)
	}
}

func (f *fixture) wantLogged(n int, text string) {
	f.t.Helper()
	if got := strings.Count(f.log(), text); got != n {
		f.t.Errorf("%q was logged %d times, want %d:\n%s", text, got, n, f.log())
	}
	if strings.Contains(f.log(), "secret") {
		f.t.Errorf("a body was logged:\n%s", f.log())
	}
}

func recordOf(offset int64) *kafka.Record {
	return &kafka.Record{Topic: "orders", Offset: offset, LeaderEpoch: 3, Value: []byte("secret body")}
}

// exitGoroutine is what t.FailNow does.
func exitGoroutine() { runtime.Goexit() }
