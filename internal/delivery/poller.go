package delivery

import (
	"context"
	"log/slog"
	"time"
)

// poll is the poller's goroutine.
func (e *Engine) poll(ctx context.Context) {
	for ctx.Err() == nil {
		pollCtx, cancel := context.WithCancel(ctx)
		e.mu.Lock()
		next := e.s.plan(time.Now())
		if next.poll {
			e.polling = cancel // from here on a partition that can be resumed interrupts it
		}
		e.mu.Unlock()

		open := true
		switch {
		case next.poll:
			open = e.pollOnce(pollCtx)
		case len(next.pause)+len(next.resume) > 0:
			e.steer(next)
		default:
			e.waitToPoll(ctx, next.wait)
		}
		cancel()
		if !open {
			if ctx.Err() == nil {
				e.log.Error("events: fetching has ended, since the connection to Kafka was closed; nothing more is consumed", slog.String("consumer_group", e.cfg.Group))
			}
			return
		}
	}
}

// pollOnce polls and feeds the scheduler. It reports false if the source has
// been closed.
func (e *Engine) pollOnce(ctx context.Context) (open bool) {
	fetched, err := e.source.Poll(ctx, e.cfg.Limits.PollRecords)
	e.mu.Lock()
	e.s.feed(fetched, time.Now())
	e.polling = nil
	e.unlock()
	return err == nil || ctx.Err() != nil
}

// steer pauses and resumes partitions at the source.
func (e *Engine) steer(next plan) {
	if len(next.pause) > 0 {
		e.log.Debug("events: partitions pause until their backlog is empty", slog.String("consumer_group", e.cfg.Group), slog.Any("partitions", next.pause))
		e.source.Pause(next.pause)
	}
	if len(next.resume) > 0 {
		e.source.Resume(next.resume)
	}
}

func (e *Engine) waitToPoll(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-e.s.wake.poller:
	}
}
