package eventtest

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/testseam"
)

// Service is a service under test: a Library that runs on an embedded broker
// of its own. [Start] makes it. Its methods end the test when they fail, so
// they are for the test's goroutine; they may be called until the test ends.
type Service struct {
	// Broker is the embedded broker, for what a test wants to see of it or to
	// fail in it. Other clients than the Library reach it through Network.
	Broker  *eventembed.Broker
	Network *eventembed.Network

	t      testing.TB
	inside testseam.Library
	outbox func(context.Context) (events.OutboxStatus, error) // nil without database
	faults *faults
}

// Start runs a service in a test: it configures the Library for an embedded
// broker and the database, starts the relay and the handlers, and returns when
// they are ready. When the test ends, the Library is shut down and the broker
// closed; db, which may be nil, stays the caller's.
//
// lib has its handlers and settings already and is not configured: it is what
// the service's own code registers everything with. Where no logger was set,
// warnings go to the test's log. For a database in memory see package
// sqlitetest.
//
// In a bubble of testing/synctest everything runs in virtual time; that needs
// the build tag synctests, and the test fails without it.
func Start[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](t testing.TB, lib *events.Library[ID, TX, DB], db DB) *Service {
	t.Helper()
	if lib.IsConfigured() {
		t.Fatal("eventtest.Start: the Library is configured already; Start does it, for a broker of the test's own")
	}
	if inBubble() && !durableLocks {
		t.Fatal("eventtest.Start: virtual time needs the build tag synctests: go test -tags synctests")
	}
	network := new(eventembed.Network)
	broker, err := eventembed.Start(eventembed.OnNetwork(network))
	if err != nil {
		t.Fatalf("eventtest.Start: %v", err)
	}
	s := &Service{Broker: broker, Network: network, t: t, inside: testseam.Of(&lib.LibraryNoDB), faults: newFaults()}
	s.inside.Intercept(s.faults.intercept)
	lib.SetDialer(network.DialContext)
	if s.inside.LogsToDefault() {
		lib.SetLogger(slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	}
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	// The end of the test's context comes before its cleanup, and Shutdown is
	// what ends the Library.
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { s.end(lib.Shutdown) })
	if lib.HasDB() {
		s.outbox = lib.OutboxStatus
		if _, err := lib.CatchUpProduce(ctx, 10*time.Second, 500); err != nil {
			t.Fatalf("eventtest.Start: %v", err)
		}
	}
	started, _, err := lib.StartConsuming(ctx)
	if err != nil {
		t.Fatalf("eventtest.Start: %v", err)
	}
	select {
	case <-started:
	case <-time.After(s.patience()):
		t.Fatalf("eventtest.Start: the handlers were not ready after %v", s.patience())
	}
	return s
}

// end shuts the Library down and closes the broker.
func (s *Service) end(shutdown func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience())
	defer cancel()
	if err := shutdown(ctx); err != nil {
		s.t.Errorf("at the end of the test: %v", err)
	}
	if err := s.Broker.Close(); err != nil {
		s.t.Errorf("at the end of the test: %v", err)
	}
	s.faults.checkAll(s.t)
}

// Advance lets virtual time go forward by d: retries whose backoff ends,
// letters whose pause ends, heartbeats and timeouts happen. It returns when
// everybody waits again. It ends the test outside of a testing/synctest bubble,
// where time cannot be advanced.
func (s *Service) Advance(d time.Duration) {
	s.t.Helper()
	if !inBubble() {
		s.t.Fatal("Advance is for virtual time: run the test in synctest.Test, with the build tag synctests")
	}
	time.Sleep(d)
	synctest.Wait()
}

// patience is how long is waited for what must happen. In virtual time, where
// waiting costs nothing, retries with long pauses fit in.
func (s *Service) patience() time.Duration {
	if inBubble() {
		return 10 * time.Minute
	}
	return 30 * time.Second
}

// inBubble reports whether time is virtual: it begins at a moment that is long
// past.
func inBubble() bool { return time.Now().Year() < 2020 }
