package eventtest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// world is what one test has to itself: a prefix, and a database if the suite
// has one.
type world[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]] struct {
	t      *testing.T
	h      Harness[ID, TX, DB]
	prefix string
	open   func() DB // nil without database
}

func (s *suite[ID, TX, DB]) world(t *testing.T) *world[ID, TX, DB] {
	w := &world[ID, TX, DB]{t: t, h: s.h, prefix: "t" + uuid.NewString()[:8] + "."}
	if s.h.NewDatabase != nil {
		w.open = s.h.NewDatabase(t)
	}
	return w
}

// service is one process of a service, or what is like one.
type service[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]] struct {
	*world[ID, TX, DB]
	lib *events.Library[ID, TX, DB]
	db  DB // only with a database

	consumed, relayed chan struct{} // nil unless started

	abandons bool // the test's end is no failure when Shutdown abandons something
}

// library makes a configured library that does nothing yet. register may be
// nil.
func (w *world[ID, TX, DB]) library(register func(lib *events.Library[ID, TX, DB])) *service[ID, TX, DB] {
	w.t.Helper()
	return w.libraryThat(false, register)
}

// libraryThat is library, with mustRegister for Configure.
func (w *world[ID, TX, DB]) libraryThat(mustRegister bool, register func(lib *events.Library[ID, TX, DB])) *service[ID, TX, DB] {
	w.t.Helper()
	s := &service[ID, TX, DB]{world: w, lib: events.New[ID, TX, DB]()}
	s.lib.SetPrefix(w.prefix)
	s.lib.SetLogger(slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if register != nil {
		register(s.lib)
	}
	if w.open != nil {
		s.db = w.open()
	}
	s.lib.Configure(s.db, nil, mustRegister, nil, nil, w.h.Brokers)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.lib.Shutdown(ctx); err != nil && !s.abandons {
			w.t.Errorf("Shutdown: %v", err)
		}
	})
	return s
}

// consumer makes a library and starts its handlers.
func (w *world[ID, TX, DB]) consumer(register func(lib *events.Library[ID, TX, DB])) *service[ID, TX, DB] {
	w.t.Helper()
	s := w.library(register)
	s.consume()
	return s
}

// consume starts the handlers and waits until they are ready.
func (s *service[ID, TX, DB]) consume() {
	s.t.Helper()
	ctx := context.Background()
	started, stopped, err := s.lib.StartConsuming(ctx)
	if err != nil {
		s.t.Fatalf("StartConsuming: %v", err)
	}
	s.consumed = stopped
	await(s.t, started, "consuming to start")
}

// relay starts the relay.
func (s *service[ID, TX, DB]) relay() {
	s.t.Helper()
	done, err := s.lib.CatchUpProduce(context.Background(), 100*time.Millisecond, 500)
	if err != nil {
		s.t.Fatalf("CatchUpProduce: %v", err)
	}
	s.relayed = done
}

// shutdown ends a service before its test does, as a deploy would.
func (s *service[ID, TX, DB]) shutdown() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.lib.Shutdown(ctx); err != nil {
		s.t.Errorf("Shutdown: %v", err)
	}
}

// transact runs fn in a transaction and fails the test if that fails.
func (s *service[ID, TX, DB]) transact(fn func(tx TX) error) {
	s.t.Helper()
	if err := s.db.Transact(context.Background(), fn); err != nil {
		s.t.Fatalf("Transact: %v", err)
	}
}

// produceIn adds events to a transaction.
func produceIn(tx eventmodels.AbstractTX, evs ...eventmodels.ProducingEvent) {
	tx.(eventmodels.EnhancedTX).Produce(evs...)
}

// sql replaces each ? of a statement by the backend's placeholder, and each
// double quote by what it quotes names with.
func (w *world[ID, TX, DB]) sql(statement string) string {
	if w.h.Quote != "" {
		statement = strings.ReplaceAll(statement, `"`, w.h.Quote)
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(statement, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(w.h.Bind(n))
		statement = after
	}
}

// await waits for a channel to close or deliver.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// eventually waits for a condition that nobody signals.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// seen collects what handlers got.
type seen[E any] struct {
	mu     sync.Mutex
	events []eventmodels.Event[E]
	news   chan struct{} // capacity 1
}

func newSeen[E any]() *seen[E] { return &seen[E]{news: make(chan struct{}, 1)} }

// add is a handler's body.
func (s *seen[E]) add(e eventmodels.Event[E]) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// handle is a handler that only collects.
func (s *seen[E]) handle(_ context.Context, e eventmodels.Event[E]) error {
	s.add(e)
	return nil
}

func (s *seen[E]) all() []eventmodels.Event[E] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]eventmodels.Event[E](nil), s.events...)
}

// wait waits until at least n were seen and returns all of them.
func (s *seen[E]) wait(t testing.TB, n int) []eventmodels.Event[E] {
	t.Helper()
	deadline := time.After(patience)
	for {
		if all := s.all(); len(all) >= n {
			return all
		}
		select {
		case <-s.news:
		case <-deadline:
			t.Fatalf("waited %v for %d events, got %d", patience, n, len(s.all()))
		}
	}
}

// testWriter writes log lines to a test, until it has ended.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(line []byte) (int, error) {
	defer func() { _ = recover() }() // a line after the test's end
	w.t.Logf("%s", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// order is the payload of most tests.
type order struct {
	ID string `json:"id"`
	N  int    `json:"n"`
}

func orderID(n int) string { return fmt.Sprintf("order-%04d", n) }
