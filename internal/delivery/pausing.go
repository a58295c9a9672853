package delivery

import "time"

// Pause lets no delivery of the handlers of that name start any more, until
// Resume: no first attempt and no retry. What runs ends as usual. Their queues
// fill, and then the partitions of their topics hold, for the topics' other
// handlers, too. It reports false if there is no such handler. It may be called
// at any time, also before Start.
func (e *Engine) Pause(name string) (found bool) {
	now := time.Now()
	e.mu.Lock()
	defer e.unlock()
	for _, h := range e.s.handlers {
		if h.pauseName() != name {
			continue
		}
		found = true
		if h.pausedSince.IsZero() {
			h.pausedSince = now
		}
	}
	if found && e.s.nextLook.IsZero() {
		e.s.nextLook = now
		e.s.wake.timekeeper.ring()
	}
	return found
}

// Resume lets the handlers of that name go on. The time of the pause is given
// back to the events that have used up a part of theirs.
func (e *Engine) Resume(name string) (found bool) {
	now := time.Now()
	e.mu.Lock()
	defer e.unlock()
	for _, h := range e.s.handlers {
		if h.pauseName() != name {
			continue
		}
		found = true
		if h.paused() {
			h.pausedSince = time.Time{}
			e.s.giveBack(h)
			e.s.refill(h.topic, now)
		}
	}
	return found
}

// pauseName is the name that Pause means.
func (h *handler) pauseName() string {
	if h.PausedAs != "" {
		return h.PausedAs
	}
	return h.Name
}

func (h *handler) paused() bool { return !h.pausedSince.IsZero() }

// giveBack gives every event of a handler that does not run, but has, the time
// back since its last attempt began.
func (s *scheduler) giveBack(h *handler) {
	give := func(d *delivery) bool {
		if d.h == h && !d.deadline.IsZero() {
			d.giveBack = true
		}
		return false
	}
	none := func(*delivery) {}
	h.due.take(give, none)
	for _, d := range s.retries.h {
		give(d)
	}
	for _, g := range s.groups {
		for d := range g.parts.all {
			if d.place == grouped {
				give(d)
			}
		}
	}
	for _, l := range h.lanes {
		for d := l.first; d != nil; d = d.after {
			if d.place == behind {
				give(d)
			}
		}
	}
	for _, p := range s.partitions {
		for _, d := range p.parked {
			give(d)
		}
	}
}

// anyPaused reports whether a handler is paused.
func (s *scheduler) anyPaused() bool {
	for _, h := range s.handlers {
		if h.paused() {
			return true
		}
	}
	return false
}
