package delivery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// probe is the prober's goroutine: it asks for the servers' health on behalf of
// everybody who waits for the answer.
func (e *Engine) probe(ctx context.Context) {
	failures := 0
	for {
		e.mu.Lock()
		q, some := e.s.ask()
		e.mu.Unlock()
		if !some {
			select {
			case <-ctx.Done():
				return
			case <-e.s.wake.prober:
			}
			continue
		}
		err := e.askHealthy(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		var confirmed []confirmed
		e.mu.Lock()
		if err == nil {
			confirmed = e.s.healthy(q, now)
		} else {
			e.s.unhealthy(q, now)
		}
		e.s.awayErr = err
		e.unlock()
		for i := range confirmed {
			e.reportConfirmed(&confirmed[i], now)
		}
		switch {
		case err == nil && failures > 0:
			e.log.Info("events: the database and the brokers answer again; the partitions go on", slog.String("consumer_group", e.cfg.Group), slog.Int("questions", failures))
		case err != nil && failures == 0:
			e.log.Warn("events: the database or the brokers do not answer; the partitions concerned pause until they do, and no event is given up meanwhile",
				slog.String("consumer_group", e.cfg.Group), slog.Any("error", err))
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		select {
		case <-ctx.Done():
			return
		case <-time.After(e.cfg.Limits.Probe.Delay(failures, rand.Float64())):
		}
	}
}

func (e *Engine) askHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Limits.ProbeTimeout)
	defer cancel()
	return e.cfg.Healthy(ctx)
}
