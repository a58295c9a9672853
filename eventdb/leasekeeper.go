package eventdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// lastEpoch is the epoch after which a lease takes a new producer id: Kafka's
// producer epochs are 16 bits, and the last ones are its own.
const lastEpoch = 32_000

// keeper holds a lease: it renews it at a third of its time, and ends the
// leadership when that has not succeeded for the whole of it. The clock is the
// process's, counted from before each request, so that the process stops no
// later than the database lets another one begin.
type keeper struct {
	store         eventmodels.OutboxStore
	newProducerID func(context.Context) (int64, error)
	ttl           time.Duration
	lost          context.CancelCauseFunc

	// op is held (a value is in it) by whoever changes the lease's row, for as
	// long as the statement takes: a renewal of the old epoch must not run beside
	// a change of it. It is not held while the brokers are waited for, so that
	// the lease can be renewed meanwhile.
	op chan struct{}

	mu    sync.Mutex
	lease eventmodels.Lease // guarded by mu
	until time.Time         // guarded by mu; the process's clock
}

// takeLease acquires the lease and makes sure that it has a producer id. nil
// means that another owner holds it.
func takeLease(ctx context.Context, cfg *RelayConfig, store eventmodels.OutboxStore) (*keeper, error) {
	clusterID, err := cfg.ClusterID(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the brokers for their cluster id: %w", err)
	}
	k := &keeper{store: store, newProducerID: cfg.NewProducerID, ttl: cfg.LeaseTime, op: make(chan struct{}, 1)}
	began := time.Now()
	lease, held, err := store.AcquireLease(ctx, cfg.Scope, cfg.Owner, clusterID, k.ttl)
	if err != nil {
		return nil, fmt.Errorf("acquire the lease: %w", err)
	}
	if !held {
		return nil, nil
	}
	k.lease, k.until = lease, began.Add(k.ttl)
	if lease.ProducerID < 0 || lease.Epoch > lastEpoch {
		if err := k.renewProducer(ctx); err != nil {
			k.release(ctx)
			return nil, err
		}
	}
	return k, nil
}

// release gives back a lease that is of no use, so that nobody has to wait for its
// end: also when ctx has ended, which may be the reason.
func (k *keeper) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.ttl)
	defer cancel()
	_ = k.store.ReleaseLease(ctx, k.current()) // it expires by itself
}

// renewProducer takes a new producer id, which begins with epoch 0.
func (k *keeper) renewProducer(ctx context.Context) error {
	id, err := k.newProducerID(ctx)
	if err != nil {
		return fmt.Errorf("ask the brokers for a producer id: %w", err)
	}
	if err := k.setProducer(ctx, id, 0); err != nil {
		return fmt.Errorf("record the producer id: %w", err)
	}
	return nil
}

// setProducer records another identity. Only the holder may, so this also asks
// whether we are.
func (k *keeper) setProducer(ctx context.Context, id int64, epoch int16) error {
	select {
	case k.op <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-k.op }()
	lease, err := k.store.SetProducer(ctx, k.current(), id, epoch)
	if err == nil {
		k.set(lease)
	}
	return err
}

func (k *keeper) current() eventmodels.Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lease
}

func (k *keeper) set(lease eventmodels.Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lease = lease
}

// done notes up to which seq nothing is left; the next renewal records it.
func (k *keeper) done(to int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lease.DoneTo = to
}

func (k *keeper) identity() lanes.Identity {
	lease := k.current()
	return lanes.Identity{ProducerID: lease.ProducerID, Epoch: lease.Epoch}
}

func (k *keeper) deadline() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.until
}

// errNotRenewed is why a lease is given up that may be another owner's.
var errNotRenewed = fmt.Errorf("%w: it could not be renewed in time", eventmodels.ErrLeaseLost)

// keep renews until ctx ends or the lease is lost.
func (k *keeper) keep(ctx context.Context) {
	pause := k.ttl / 3
	for {
		wait(ctx, min(pause, time.Until(k.deadline())))
		if ctx.Err() != nil {
			return
		}
		if !time.Now().Before(k.deadline()) {
			k.lost(errNotRenewed)
			return
		}
		err := k.renew(ctx)
		switch {
		case err == nil:
			pause = k.ttl / 3
		case errors.Is(err, eventmodels.ErrLeaseLost):
			k.lost(err)
			return
		default:
			pause = k.ttl / 20 // the connection may be back in a moment
		}
	}
}

func (k *keeper) renew(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, k.deadline())
	defer cancel()
	select {
	case k.op <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-k.op }()
	began := time.Now()
	if err := k.store.RenewLease(ctx, k.current(), k.ttl); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until = began.Add(k.ttl)
	return nil
}

// reidentify answers a refusal of the identity: the lease gets its next
// epoch, or a new producer id. If another process has the lease, that is
// the reason of the refusal.
func (k *keeper) reidentify(ctx context.Context, newID bool) (lanes.Identity, error) {
	if lease := k.current(); newID || lease.Epoch >= lastEpoch {
		if err := k.renewProducer(ctx); err != nil {
			return lanes.Identity{}, err
		}
	} else if err := k.setProducer(ctx, lease.ProducerID, lease.Epoch+1); err != nil {
		return lanes.Identity{}, fmt.Errorf("take the next epoch: %w", err)
	}
	return k.identity(), nil
}
