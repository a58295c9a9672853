package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A call whose connection was lost fails, and a later one connects again.
func (b *Backend[ID, T, D, O]) storeReconnects(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	d.InsertRows(t, NewRow("a"))
	l := MustAcquire(t, s, "a")
	row := Outbox(t, s)[0]
	for name, call := range map[string]func() error{
		"AcquireLease": func() error { _, _, err := s.AcquireLease(Context(t), "other", "a", Cluster, TTL); return err },
		"RenewLease":   func() error { return s.RenewLease(Context(t), l, TTL) },
		"LookLease":    func() error { _, err := s.LookLease(Context(t), Scope); return err },
		"ReadOutbox": func() error {
			_, err := s.ReadOutbox(Context(t), eventmodels.OutboxRead{Scope: Scope, Limit: 1})
			return err
		},
		"DeleteOutbox":  func() error { return s.DeleteOutbox(Context(t), "other", []eventmodels.OutboxKey{row.OutboxKey()}) },
		"ParkOutbox":    func() error { return s.ParkOutbox(Context(t), "other", row.OutboxKey(), "") },
		"ListParked":    func() error { _, err := s.ListParked(Context(t), Scope, eventmodels.ParkedKey{}, 1); return err },
		"RequeueParked": func() error { _, err := s.RequeueParked(Context(t), Scope, []uuid.UUID{row.ID}); return err },
		"DiscardParked": func() error { _, err := s.DiscardParked(Context(t), Scope, []uuid.UUID{row.ID}); return err },
		"Stats":         func() error { _, err := s.Stats(Context(t), Scope, 0); return err },
		"DeleteMarks":   func() error { _, err := s.DeleteMarks(Context(t), time.Hour, 10); return err },
		"Wake":          func() error { return s.Wake(Context(t), Scope) },
		"Concerns":      func() error { _, err := s.Concerns(Context(t)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			b.Cut(t, d, s)
			lost := 0
			for err := call(); err != nil; err = call() {
				if d.Opened.Fault(err) != eventmodels.FaultAway {
					t.Fatalf("fault %v of %v", d.Opened.Fault(err), err)
				}
				if lost++; lost > b.LostCalls {
					t.Fatalf("it does not connect again: %v", err)
				}
			}
		})
	}
}

// Close ends what is under way, and what comes then.
func (b *Backend[ID, T, D, O]) storeClose(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	MustAcquire(t, s, "a")
	MustExec(t, d.BeginAdmin(t), "SELECT * FROM events_lease FOR UPDATE")
	entered := make(chan struct{})
	working, leasing := make(chan error, 1), make(chan error, 1)
	go func() {
		working <- b.Work(context.Background(), s, func(ctx context.Context) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	go func() { _, _, err := s.AcquireLease(context.Background(), Scope, "b", Cluster, TTL); leasing <- err }()
	<-entered
	b.AwaitBlocked(t, d, OnLease, 1)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	_, after := s.LookLease(Context(t), Scope)
	for what, err := range map[string]error{"work that was under way": <-working, "a statement that was": <-leasing, "a call after Close": after} {
		if !errors.Is(err, b.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Listen(Context(t), Scope, make(chan struct{}), func() {}); !errors.Is(err, b.ErrClosed) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Listen after Close: %v", err)
	}
}

// The end of a call's context ends its wait for a connection, and for the
// server.
func (b *Backend[ID, T, D, O]) callsEndWithTheirContext(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	t.Run("WaitingForAConnection", func(t *testing.T) {
		defer b.blockWork(t, s)()
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { _, err := s.Stats(ctx, Scope, 0); result <- err }()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
	})
	t.Run("WaitingForTheServer", func(t *testing.T) {
		MustAcquire(t, s, "a")
		MustExec(t, d.BeginAdmin(t), "SELECT * FROM events_lease FOR UPDATE")
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { _, _, err := s.AcquireLease(ctx, Scope, "b", Cluster, TTL); result <- err }()
		b.AwaitBlocked(t, d, OnLease, 1)
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
		if state, err := s.LookLease(Context(t), Scope); err != nil || state.Owner != "a" {
			t.Errorf("afterwards: %+v, %v", state, err)
		}
	})
}
