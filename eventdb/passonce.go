package eventdb

import (
	"context"
	"fmt"
	"time"
)

// Once relays what is in the outbox now, older rows first, and returns when
// Kafka has acknowledged it; for processes that run no relay. If another
// process holds the lease, that one is woken instead. What takes longer than
// StopLimit is cut short. It must not be called by several goroutines at once,
// nor of a relay that was started. Stop closes the connections that it leaves
// open for the next time; see Missed, too.
func (r *Relay) Once(ctx context.Context) error {
	select {
	case <-r.wake: // Missed is about this pass
	default:
	}
	end := time.Now().Add(r.cfg.StopLimit)
	beginning, cancel := context.WithDeadlineCause(ctx, end, errStopLimit)
	defer cancel()
	if r.store == nil {
		if err := r.open(beginning); err != nil {
			return err
		}
	}
	l, err := r.acquire(beginning)
	if err != nil {
		return err
	}
	if l == nil {
		if err := r.store.Wake(beginning, r.cfg.Scope); err != nil {
			return fmt.Errorf("wake the relay of another process: %w", err)
		}
		return nil
	}
	l.passLimit = time.Until(end)
	stopped := make(chan struct{})
	close(stopped)
	err = l.lead(ctx, stopped)
	l.close(context.WithoutCancel(ctx))
	return err
}
