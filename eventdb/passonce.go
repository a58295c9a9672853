package eventdb

import (
	"context"
	"fmt"
)

// Once relays what is in the outbox now, older rows first, and returns when
// Kafka has acknowledged it; for processes that run no relay. If another
// process holds the lease, that one is woken instead. It must not be called
// by several goroutines at once, nor of a relay that was started. Stop closes
// the connections that it leaves open for the next time.
func (r *Relay) Once(ctx context.Context) error {
	if r.store == nil {
		if err := r.open(ctx); err != nil {
			return err
		}
	}
	l, err := r.acquire(ctx)
	if err != nil {
		return err
	}
	if l == nil {
		if err := r.store.Wake(ctx, r.cfg.Scope); err != nil {
			return fmt.Errorf("wake the relay of another process: %w", err)
		}
		return nil
	}
	defer l.close(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	close(stopped)
	return l.lead(ctx, stopped)
}
