package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

func (b *Backend[ID, T, D, O]) commitWhoseConnectionIsLost(t *testing.T) {
	d := b.NewDatabase(t)
	commit := b.SlowCommit(t, Context(t), d)
	MustExec(t, d.Admin, b.Kill(commit.ID))
	err := <-commit.Result
	if !errors.Is(err, eventmodels.ErrCommitUnknown) || d.Opened.Fault(err) != eventmodels.FaultAway {
		t.Errorf("error: %v, fault: %v", err, d.Opened.Fault(err))
	}
}

// A COMMIT that has been sent is waited for: the outcome is known although
// nobody is interested any more.
func (b *Backend[ID, T, D, O]) commitOutlivesItsContext(t *testing.T) {
	d := b.NewDatabase(t)
	ctx, cancel := context.WithCancel(Context(t))
	commit := b.SlowCommit(t, ctx, d)
	cancel()
	commit.Release()
	if err := <-commit.Result; err != nil {
		t.Errorf("error: %v", err)
	}
	if n := d.Count(t, "slow"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func (b *Backend[ID, T, D, O]) transactWhoseContextEnds(t *testing.T) {
	d := b.NewDatabase(t)
	d.Pool.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(Context(t))
	var before, after int64
	err := d.Opened.Transact(ctx, func(tx T) error {
		before = d.IDOf(t, tx)
		produce(tx)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, eventmodels.ErrCommitUnknown) || d.Opened.Fault(err) != eventmodels.FaultEvent {
		t.Errorf("error: %v, fault: %v", err, d.Opened.Fault(err))
	}
	if n := d.Count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows in the outbox", n)
	}
	_ = d.Opened.Transact(Context(t), func(tx T) error { after = d.IDOf(t, tx); return nil })
	if before != after {
		t.Error("rolling back has cost a connection")
	}
	if err := d.Opened.Transact(ctx, func(T) error { t.Error("called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func (b *Backend[ID, T, D, O]) transactWaitsForAConnection(t *testing.T) {
	d := b.NewDatabase(t)
	d.Pool.SetMaxOpenConns(1)
	d.BeginTx(t)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- d.Opened.Transact(ctx, func(T) error { return nil }) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}
