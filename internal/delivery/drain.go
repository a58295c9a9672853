package delivery

import (
	"context"
	"time"
)

// Drain ends the work: fetching stops, no delivery starts any more, running
// handlers may end until ctx does or Limits.Shutdown is over; then their
// contexts are cancelled and their work is not acknowledged. What is done is
// committed, so the group must not be left before Drain has returned; there is
// a little time for that even when ctx has ended. Drain returns what it has
// abandoned. The retries that have not had their time are delivered again by
// the next owner.
//
// A second call waits for the first. Before Start there is nothing to drain.
func (e *Engine) Drain(ctx context.Context) []Abandoned {
	e.mu.Lock()
	before := e.stage
	if before == made || before == started {
		e.stage = draining
	}
	e.s.draining = true
	ps := e.s.all()
	for _, p := range ps {
		e.s.quit(p, time.Now())
	}
	if e.stopPoll != nil {
		e.stopPoll()
	}
	pollEnded := e.pollEnded
	e.unlock()
	if before != started {
		if before == draining {
			select {
			case <-e.drained:
			case <-ctx.Done():
			}
		}
		if before == made {
			close(e.drained)
		}
		return nil
	}
	defer close(e.drained)

	limit, cancel := context.WithTimeout(ctx, e.drainPatience(ctx))
	defer cancel()
	select {
	case <-pollEnded:
	case <-limit.Done():
	}
	abandoned := e.awaitIdle(limit)

	commitCtx, cancelCommit := e.lastCommit(ctx)
	defer cancelCommit()
	e.mu.Lock()
	ps = e.s.all() // an assignment may have come meanwhile
	e.mu.Unlock()
	e.endEpochs(commitCtx, ps)
	return abandoned
}

// minCommitGrace is how long the last commit may take when ctx has ended.
const minCommitGrace = time.Second

// drainPatience is how long Drain waits for handlers.
func (e *Engine) drainPatience(ctx context.Context) time.Duration {
	limit := e.cfg.Limits.Shutdown
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = min(limit, left-min(left/4, minCommitGrace))
	}
	return limit
}

// lastCommit is the context of the last commit. It ends with ctx's deadline,
// or, when ctx is cancelled before, soon after that.
func (e *Engine) lastCommit(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := e.cfg.Limits.CommitTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(time.Until(deadline), minCommitGrace)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(minCommitGrace, cancel) })
	return last, func() { stop(); cancel() }
}

// idle reports whether no worker lives and nothing is on its way to the sink.
func (s *scheduler) idle() bool { return len(s.workers) == 0 && s.underway == 0 }

func (s *scheduler) ringIfIdle() {
	if s.idle() {
		s.wake.idle.ring()
	}
}

// awaitIdle waits until the engine is idle. When ctx ends it cancels the contexts
// of those that do and returns what they run.
func (e *Engine) awaitIdle(ctx context.Context) []Abandoned {
	for {
		e.mu.Lock()
		idle := e.s.idle()
		e.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-e.s.wake.idle:
		case <-ctx.Done():
			e.mu.Lock()
			defer e.mu.Unlock()
			var abandoned []Abandoned
			for _, d := range e.s.interrupt(func(*partition) bool { return true }, errDrained) {
				r := d.event.record
				abandoned = append(abandoned, Abandoned{Handler: d.h.Handler, Partition: r.Partition, Offset: r.Offset, Since: d.started})
			}
			return abandoned
		}
	}
}

// all returns all partitions.
func (s *scheduler) all() []*partition {
	all := make([]*partition, 0, len(s.partitions))
	for _, p := range s.partitions {
		all = append(all, p)
	}
	return all
}

// interrupt cancels the contexts of the deliveries that run and whose partition
// matches, and returns them.
func (s *scheduler) interrupt(match func(*partition) bool, cause error) []*delivery {
	var found []*delivery
	for w := range s.workers {
		interrupted := false
		for _, d := range w.ds {
			if match(d.event.p) {
				interrupted = true
				found = append(found, d)
			}
		}
		if interrupted {
			w.ctx.end(cause)
		}
	}
	return found
}
