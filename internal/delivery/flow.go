package delivery

import (
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// flow decides when the poller polls. A poll cannot be asked to leave a
// partition out, so it waits while a partition has more in its backlog than a
// little, and all of them together more than the workers are done with in a
// moment. That absorbs short fullness. What takes longer is paused at the
// source, so that the other partitions go on; but not at once, since that
// throws away what the source has buffered of it. A partition is resumed when
// its backlog is empty.
type flow struct {
	// over are partitions with a large backlog that are not paused; filtered
	// when the poller looks.
	over []*partition
	// paused are the partitions that are paused at the source; resume those that
	// have ended since they were, which may come back.
	paused []*partition
	resume []kafka.TopicPartition
	// waiting is how many records are in the backlogs of partitions that are
	// not paused. ahead of these are no reason not to poll: what was admitted
	// in a time of Limits.PollAhead when that was last measured. admitted
	// counts since then.
	waiting, ahead, admitted int
	measured                 time.Time
	// since is when the poller was kept from polling; zero if it is not.
	since time.Time
	// interrupt ends the poll that is on its way.
	interrupt func()
}

// holds reports whether a partition with a large backlog keeps the poller from
// polling.
func (f *flow) holds(p *partition, l *Limits) bool {
	return f.waiting > f.ahead || p.backlog.bytes > l.LowBacklogBytes
}

// changed notes by how much the length of a backlog has changed.
func (f *flow) changed(p *partition, by int) {
	if !p.paused {
		f.waiting += by
	}
}

// measure finds how many records are admitted in a time of Limits.PollAhead.
func (f *flow) measure(now time.Time, l *Limits) {
	passed := now.Sub(f.measured)
	if passed < l.PollAhead/5 {
		return
	}
	f.ahead = int(float64(f.admitted) * float64(l.PollAhead) / float64(passed))
	f.admitted, f.measured = 0, now
}

// grew notes that a backlog has become longer.
func (f *flow) grew(p *partition, l *Limits) {
	if !p.over && !p.paused && p.backlog.large(l) {
		p.over = true
		f.over = append(f.over, p)
	}
}

// shrank notes that a record of a backlog was admitted.
func (f *flow) shrank(p *partition, l *Limits, poller bell) {
	f.changed(p, -1)
	f.admitted++
	switch {
	case len(f.over) > 0 && f.waiting == f.ahead, p.over && !p.backlog.large(l):
		poller.ring()
	case p.paused && p.backlog.len() == 0:
		poller.ring()
		f.interrupt()
	}
}

// quit forgets a partition.
func (f *flow) quit(p *partition, poller bell) {
	if p.paused {
		p.paused = false
		f.paused = without(f.paused, p)
		f.resume = append(f.resume, p.TopicPartition)
		f.interrupt()
	}
	poller.ring()
}

// plan is what the poller does next: pause and resume, if there is something,
// else poll, else wait.
type plan struct {
	pause, resume []kafka.TopicPartition
	poll          bool
	// wait at most so long, or until the bell rings.
	wait time.Duration
}

// plan says what the poller does now.
func (s *scheduler) plan(now time.Time) plan {
	f := &s.flow
	f.measure(now, &s.limits)
	next := plan{resume: f.resume}
	f.resume = nil
	f.paused = filter(f.paused, func(p *partition) bool { return p.backlog.len() == 0 }, func(p *partition) {
		p.paused = false
		next.resume = append(next.resume, p.TopicPartition)
	})
	f.over = filter(f.over, func(p *partition) bool {
		return p.phase != owned || !p.backlog.large(&s.limits)
	}, func(p *partition) { p.over = false })
	if !slices.ContainsFunc(f.over, func(p *partition) bool { return f.holds(p, &s.limits) }) {
		f.since = time.Time{}
		next.poll = len(next.resume) == 0
		return next
	}
	if f.since.IsZero() {
		f.since = now
	}

	// Without progress a partition is paused; and one that makes progress, but
	// too slowly, if it makes others wait.
	after := s.limits.PauseAfter
	othersWait := len(s.partitions) > len(f.over)+len(f.paused)
	next.wait = after
	f.over = filter(f.over, func(p *partition) bool {
		if !f.holds(p, &s.limits) {
			return false
		}
		stuckSince := f.since
		if !othersWait && p.progress.After(stuckSince) {
			stuckSince = p.progress
		}
		left := after - now.Sub(stuckSince)
		next.wait = min(next.wait, max(left, 0))
		return left <= 0
	}, func(p *partition) {
		f.changed(p, -p.backlog.len())
		p.over, p.paused = false, true
		f.paused = append(f.paused, p)
		next.pause = append(next.pause, p.TopicPartition)
	})
	return next
}
