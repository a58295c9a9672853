package delivery

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

type notBeforeError struct{ until time.Time }

func (e *notBeforeError) Error() string { return "not before " + e.until.Format(time.RFC3339) }

// NotBefore is what Run returns, as it is, when it will not handle the event
// before until. That is no attempt and no failure: nothing is counted or
// logged, the timeout begins anew, and the delivery waits without a slot and a
// place in the queue. It stays in its partition's window. Run is called again
// when the time has come, when [Engine.Wake] is called, or when others wait for
// the place in the window: [Pressed] says so then.
func NotBefore(until time.Time) error { return &notBeforeError{until} }

// postpone lets a delivery wait because Run has said so.
func (s *scheduler) postpone(d *delivery, until, now time.Time) {
	p := d.event.p
	if d.pressed {
		// It has not made room, and is not asked for it again before others.
		d.ripe = now.Add(s.limits.PressAfter)
		s.unpress(d)
	}
	if p.full {
		s.enterLine(p) // and press again
	}
	d.renew()
	if d.woken {
		s.ready(d, now)
		return
	}
	d.postponed = true
	s.retryAt(d, until)
}

// Wake runs the deliveries of a record that were postponed, although their time
// has not come. A delivery that is about to be postponed runs once more.
func (e *Engine) Wake(tp kafka.TopicPartition, offset int64) {
	now := time.Now()
	e.mu.Lock()
	defer e.unlock()
	p := e.s.partitions[tp]
	if p == nil || p.phase != owned {
		return
	}
	match := func(d *delivery) bool { return d.event.p == p && d.event.record.Offset == offset }
	for w := range e.s.workers {
		for _, d := range w.ds {
			if match(d) {
				d.woken = true
			}
		}
	}
	var early []*delivery
	e.s.retries.take(func(d *delivery) bool { return d.postponed && match(d) }, func(d *delivery) { early = append(early, d) })
	for _, d := range early {
		e.s.ready(d, now)
	}
}

// mostPressed is how many deliveries are woken at once to make room: more than
// are needed at the moment, since looking for them takes its time.
const mostPressed = 100

// press wakes the oldest postponed deliveries of a partition whose window is
// full. They have been here for Limits.PressAfter; if none has, it is the
// oldest one's turn when it has. Those that were woken before have their time
// to make room first.
func (s *scheduler) press(p *partition, now time.Time) {
	p.full = true
	if p.pressed > 0 {
		return
	}
	var all []*delivery
	for _, d := range s.retries.h {
		if d.postponed && d.event.p == p {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b *delivery) int { return cmp.Compare(a.event.record.Offset, b.event.record.Offset) })
	chosen := all[:1]
	for len(chosen) < min(len(all), mostPressed) && !now.Before(s.ripeAt(all[len(chosen)])) {
		chosen = all[:len(chosen)+1]
	}
	for _, d := range chosen {
		d.pressed = true
		p.pressed++
	}
	s.retries.take(func(d *delivery) bool { return d.pressed && d.postponed && d.event.p == p }, func(*delivery) {})
	for _, d := range chosen {
		at := s.ripeAt(d)
		switch {
		case !now.Before(at):
			s.ready(d, now)
		case at.Before(d.next):
			s.retryAt(d, at)
		default:
			s.retryAt(d, d.next)
		}
	}
}

// ripeAt is when a delivery may be asked to make room.
func (s *scheduler) ripeAt(d *delivery) time.Time {
	if d.ripe.IsZero() {
		d.ripe = d.event.polled.Add(s.limits.PressAfter)
	}
	return d.ripe
}

// unpress notes that a delivery does not make room any more, if it did.
func (s *scheduler) unpress(d *delivery) {
	if d.pressed {
		d.pressed = false
		d.event.p.pressed--
	}
}
