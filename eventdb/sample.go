package eventdb

import (
	"context"
	"time"
)

// sample looks at the outbox while this process leads, until ctx ends. What it
// cannot find out is tried again with the next sample.
func (l *leadership) sample(ctx context.Context) {
	for {
		limited, cancel := context.WithTimeout(ctx, l.cfg.Sample)
		stats, err := l.store.Stats(limited, l.cfg.Scope, l.keeper.current().DoneTo)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.cfg.Observer.Failed("sample", err)
		default:
			l.cfg.Observer.Sampled(stats)
		}
		timer := time.NewTimer(l.cfg.Sample)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
