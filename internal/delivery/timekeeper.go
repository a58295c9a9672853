package delivery

import (
	"context"
	"time"
)

// keepTime is the timekeeper's goroutine: it makes retries due, and looks from
// time to time at what runs.
func (e *Engine) keepTime(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		e.mu.Lock()
		at, some := e.s.wakeRetries(now)
		look := !e.s.nextLook.IsZero()
		var overdue []*delivery
		var stats []HandlerStats
		if look && !now.Before(e.s.nextLook) {
			overdue = e.s.lookForOverdue(now)
			if e.cfg.Observer.Sampled != nil {
				stats = e.s.stats(now)
			}
			look = e.s.planLook(now)
		}
		if look && (!some || e.s.nextLook.Before(at)) {
			at, some = e.s.nextLook, true
		}
		e.unlock()

		for _, d := range overdue {
			e.reportOverdue(d, now)
		}
		if stats != nil {
			e.cfg.Observer.Sampled(stats)
		}

		var alarm <-chan time.Time
		if some {
			wait := time.Until(at)
			if wait <= 0 {
				continue
			}
			timer.Reset(wait)
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-e.s.wake.timekeeper:
		case <-alarm:
		}
	}
}

// lookForOverdue returns the deliveries, the first one of a batch, whose handler
// has outlived its deadline and that were not reported before.
func (s *scheduler) lookForOverdue(now time.Time) []*delivery {
	var found []*delivery
	for w := range s.workers {
		if w.ctx == nil || now.Sub(w.ctx.deadline) < s.limits.Overdue {
			continue
		}
		if d := w.ds[0]; !d.overdue {
			d.overdue = true
			found = append(found, d)
		}
	}
	return found
}

// planLook says whether there will be another look: not if nothing runs or
// waits.
func (s *scheduler) planLook(now time.Time) bool {
	if len(s.workers) == 0 && s.retries.len() == 0 && len(s.groups) == 0 && !s.anyPaused() {
		s.nextLook = time.Time{}
		return false
	}
	s.nextLook = now.Add(s.limits.Sample)
	return true
}
