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
			slog.String("consumer_group", e.cfg.Group), slog.Any("partitions", unknown))
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
	e.endNow(ps, errLost)
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
				slog.String("consumer_group", e.cfg.Group), slog.Int("handlers", len(hung)), slog.Any("cause", cause))
		}
		return
	}
}

// endEpochs commits what is done, as long as ctx lasts, and ends the epochs.
func (e *Engine) endEpochs(ctx context.Context, ps []*partition) {
	const attempts = 3
	if !e.enterGate(ctx) {
		e.reportUncommitted(e.endNow(ps, errRevoked), ctx.Err())
		return
	}
	defer e.leaveGate()
	err := ctx.Err()
	for i := 0; i < attempts && ctx.Err() == nil; i++ {
		if i > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(e.cfg.Limits.Probe.Min):
			}
		}
		if err = e.commitDirty(ctx); err == nil {
			break
		}
	}
	e.mu.Lock()
	uncommitted := e.end(ps)
	e.unlock()
	e.reportUncommitted(uncommitted, err)
}

// endNow ends epochs without the gate, with handlers still running and a commit
// on its way: the handlers' contexts are cancelled, and the commit, if it
// concerns one of the partitions, has returned when endNow does.
func (e *Engine) endNow(ps []*partition, cause error) (uncommitted int) {
	e.mu.Lock()
	uncommitted = e.end(ps)
	e.s.interrupt(among(ps), cause)
	flying := e.cancelCommit(ps)
	e.unlock()
	uncommitted += flying
	if flying > 0 {
		e.enterGate(context.Background()) // it returns soon after its ctx has ended
		e.leaveGate()
	}
	return uncommitted
}

// end ends epochs, and returns how many have something to commit. The caller
// has mu.
func (e *Engine) end(ps []*partition) (uncommitted int) {
	now := time.Now()
	for _, p := range ps {
		if p.dirty {
			uncommitted++
		}
		e.s.end(p, now)
	}
	return uncommitted
}

func (e *Engine) reportUncommitted(partitions int, err error) {
	if partitions > 0 {
		e.log.Warn("events: the last offsets of partitions could not be committed; what was done since the last commit is done again by their next owner",
			slog.String("consumer_group", e.cfg.Group), slog.Int("partitions", partitions), slog.Any("error", err))
	}
}
