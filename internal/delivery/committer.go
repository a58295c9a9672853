package delivery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/ackwindow"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// A flight is a commit that is on its way.
type flight struct {
	cancel     context.CancelFunc
	partitions []*partition
}

// commit is the committer's goroutine: it commits what has advanced, on a
// short interval, and nothing while nothing has.
func (e *Engine) commit(ctx context.Context) {
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.s.wake.committer:
		}
		wait := e.cfg.Limits.CommitInterval
		if failures > 0 {
			wait = max(wait, e.cfg.Limits.Probe.Delay(failures, rand.Float64()))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if !e.enterGate(ctx) {
			return
		}
		err := e.commitDirty(ctx)
		e.leaveGate()
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if ctx.Err() != nil {
			continue
		}
		if leftOut, ok := e.warnings.Allow(commitWarning{}, time.Now()); ok {
			e.log.Warn("events: offsets could not be committed; it is tried again, and nothing is lost (but done again after a crash)",
				slog.String("consumer_group", e.cfg.Group), slog.Any("error", err), slog.Int("left_out", leftOut))
		}
	}
}

type commitWarning struct{}

// enterGate waits for the commit gate; false if ctx has ended.
func (e *Engine) enterGate(ctx context.Context) bool {
	select {
	case e.gate <- struct{}{}:
		return true
	default:
	}
	select {
	case e.gate <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *Engine) leaveGate() { <-e.gate }

// commitDirty commits everything that has advanced. The caller holds the gate:
// so long no epoch ends (but of what is lost), and the partitions are ours.
func (e *Engine) commitDirty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Limits.CommitTimeout)
	defer cancel()
	e.mu.Lock()
	committer := e.committer
	partitions := e.s.dirty
	e.s.dirty = nil
	offsets := make(map[kafka.TopicPartition]kafka.Offset, len(partitions))
	positions := make([]ackwindow.Position, len(partitions))
	for i, p := range partitions {
		p.dirty = false
		positions[i], _ = p.window.Commit()
		offsets[p.TopicPartition] = kafka.Offset{At: positions[i].Offset, LeaderEpoch: positions[i].LeaderEpoch}
	}
	if len(offsets) == 0 || committer == nil {
		e.mu.Unlock()
		return nil
	}
	e.flying = &flight{cancel, partitions}
	e.mu.Unlock()

	err := committer.Commit(ctx, offsets)

	e.mu.Lock()
	e.flying = nil
	for i, p := range partitions {
		if p.phase == ended {
			continue
		}
		if !kafka.Refused(err, p.TopicPartition) {
			p.window.Committed(positions[i])
		}
		e.s.advanced(p) // if it was refused, or has advanced since
	}
	e.mu.Unlock()
	if e.cfg.Observer.Committed != nil {
		e.cfg.Observer.Committed(len(offsets), err)
	}
	return err
}

// cancelCommit lets the commit that is on its way return, if it concerns some
// of the partitions, and says how many. The caller has mu.
func (e *Engine) cancelCommit(partitions []*partition) (concerned int) {
	if e.flying == nil {
		return 0
	}
	for _, p := range e.flying.partitions {
		if slices.Contains(partitions, p) {
			concerned++
		}
	}
	if concerned > 0 {
		e.flying.cancel()
	}
	return concerned
}
