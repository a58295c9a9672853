package eventdb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/backoff"
)

// signal never blocks: one signal that nobody has seen yet is enough.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// listen turns notifications of other processes into wake-ups, if the backend
// has such a thing.
func (r *Relay) listen(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		listening := make(chan struct{})
		var told sync.WaitGroup
		trying, ended := context.WithCancel(ctx)
		told.Go(func() {
			select {
			case <-listening:
				signal(r.heard) // what was said before was not heard
			case <-trying.Done():
			}
		})
		err := r.store.Listen(ctx, r.cfg.Scope, listening, func() { signal(r.heard) })
		ended()
		told.Wait()
		if errors.Is(err, errors.ErrUnsupported) || ctx.Err() != nil {
			return
		}
		select {
		case <-listening:
			failures = 0
		default:
		}
		failures++
		r.failed("listen", failures, err)
		wait(ctx, backoff.Schedule{Min: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.5}.Delay(failures, jitter()))
	}
}

// tellOthers sends wake-ups to other processes, as many as can be sent one
// after another: commits in between need none of their own.
func (r *Relay) tellOthers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.notify:
		}
		if r.stopping() {
			signal(r.notify) // for Missed
			return
		}
		if r.Leading() { // since
			signal(r.wake)
			continue
		}
		if err := r.store.Wake(ctx, r.cfg.Scope); err != nil && ctx.Err() == nil {
			r.cfg.Observer.Failed("wake", err)
			r.log.Debug("the relay of another process was not woken; it finds the rows by polling", "error", err)
		}
	}
}
