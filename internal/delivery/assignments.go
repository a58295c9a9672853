package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// What cancels the contexts of handlers.
var (
	errRevoked = errors.New("the partition goes to another member of the group")
	errLost    = errors.New("the partition was lost to another member of the group")
	errDrained = errors.New("the library is shut down")
	errStopped = errors.New("the library has stopped")
)

// Assigned implements kafka.Assignments: a new epoch begins.
func (e *Engine) Assigned(_ context.Context, partitions []kafka.TopicPartition) {
	now := time.Now()
	e.mu.Lock()
	var unknown []kafka.TopicPartition
	for _, tp := range partitions {
		if e.s.assign(tp, now) == nil {
			unknown = append(unknown, tp)
		}
	}
	e.unlock()
	if len(unknown) > 0 {
		e.log.Error("events: partitions of topics without handlers were assigned; they are not consumed",
			slog.String("group", e.cfg.Group), slog.Any("partitions", unknown))
	}
}

// Revoked implements kafka.Assignments: nothing new starts, what runs may end,
// what is done is committed; then the epoch ends.
func (e *Engine) Revoked(ctx context.Context, partitions []kafka.TopicPartition) {
	ps := e.quit(partitions)
	if len(ps) == 0 {
		return
	}
	running, cancel := context.WithTimeout(ctx, e.patience(ctx))
	e.awaitQuiet(running, ps, errRevoked)
	cancel()
	e.endEpochs(ctx, ps)
}

// Lost implements kafka.Assignments: nothing of the partitions counts any more.
func (e *Engine) Lost(partitions []kafka.TopicPartition) {
	ps := e.quit(partitions)
	if len(ps) == 0 {
		return
	}
	e.mu.Lock()
	for _, p := range ps {
		e.s.end(p, time.Now())
	}
	e.s.interrupt(among(ps), errLost)
	flying := e.cancelCommit(ps)
	e.unlock()
	if flying {
		e.enterGate(context.Background()) // it has returned
		e.leaveGate()
	}
}

func among(ps []*partition) func(*partition) bool {
	return func(p *partition) bool { return slices.Contains(ps, p) }
}

// patience is how long a revocation waits for handlers: so long that there is
// time left for the commit.
func (e *Engine) patience(ctx context.Context) time.Duration {
	limit := e.cfg.Limits.Revocation
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = min(limit, left-min(left/4, e.cfg.Limits.CommitTimeout))
	}
	return limit
}

// quit lets nothing of the partitions start any more, and returns those that
// are owned.
func (e *Engine) quit(partitions []kafka.TopicPartition) []*partition {
	now := time.Now()
	e.mu.Lock()
	defer e.unlock()
	var ps []*partition
	for _, tp := range partitions {
		if p := e.s.partitions[tp]; p != nil {
			e.s.quit(p, now)
			ps = append(ps, p)
		}
	}
	return ps
}

// awaitQuiet waits until no handler of the partitions runs. When ctx ends it
// cancels the contexts of those that do.
func (e *Engine) awaitQuiet(ctx context.Context, ps []*partition, cause error) {
	for _, p := range ps {
		e.mu.Lock()
		quiet := p.quiet
		if quiet == nil && p.running > 0 {
			quiet = make(chan struct{})
			p.quiet = quiet
		}
		e.mu.Unlock()
		if quiet == nil {
			continue
		}
		select {
		case <-quiet:
			continue
		case <-ctx.Done():
		}
		e.mu.Lock()
		hung := e.s.interrupt(among(ps), cause)
		e.mu.Unlock()
		if len(hung) > 0 {
			e.log.Warn("events: handlers were still running when their time was up; their contexts are cancelled and their events are delivered again",
				slog.String("group", e.cfg.Group), slog.Int("handlers", len(hung)), slog.Any("cause", cause))
		}
		return
	}
}

// endEpochs commits what is done, as long as ctx lasts, and ends the epochs.
func (e *Engine) endEpochs(ctx context.Context, ps []*partition) {
	const attempts = 3
	if !e.enterGate(ctx) {
		e.mu.Lock()
		e.cancelCommit(ps)
		e.mu.Unlock()
		e.enterGate(context.Background()) // a commit returns soon after its ctx
	}
	defer e.leaveGate()
	var err error
	for i := range attempts {
		if i > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(e.cfg.Limits.Probe.Min):
			}
		}
		if ctx.Err() != nil {
			break
		}
		if err = e.commitDirty(ctx); err == nil {
			break
		}
	}
	if err != nil {
		e.log.Warn("events: the last offsets of partitions could not be committed; what was done since the last commit is done again by their next owner",
			slog.String("group", e.cfg.Group), slog.Int("partitions", len(ps)), slog.Any("error", err))
	}
	now := time.Now()
	e.mu.Lock()
	for _, p := range ps {
		e.s.end(p, now)
	}
	e.unlock()
}
