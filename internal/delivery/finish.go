package delivery

import "time"

// settled is what a verdict has brought about.
type settled struct {
	// attempt is the number of the attempt.
	attempt int
	// counts: the verdict has taken effect. If not, the epoch has ended, and
	// nothing is logged or counted.
	counts bool
	// pending: the verdict is final and waits for the prober's word.
	pending bool
	// acked: all of the event's deliveries have their verdicts.
	acked bool
	// blocked: the partition was not held by this delivery before.
	blocked bool
}

// recordAll takes the verdicts on what a worker has run.
func (s *scheduler) recordAll(w *worker, now time.Time) {
	g := w.group
	w.group = nil
	var stay []*delivery
	var v Verdict
	for i, d := range w.ds {
		j := &w.judged[i]
		switch {
		case !s.matters(d, j.v):
		case j.stays():
			v = j.v
			d.uncount()
			stay = append(stay, d)
			j.took = settled{attempt: d.attempt + 1, counts: true}
		default:
			j.took = s.record(d, j.v, j.err, now)
			if g != nil && d.lane != nil {
				g.fallBehind(s, d.lane)
			}
		}
		d.slacken()
	}
	s.regroup(w.h, g, stay, v, now)
}

// matters notes that a delivery does not run any more, and reports whether the
// verdict changes anything.
func (s *scheduler) matters(d *delivery, v Verdict) bool {
	p := d.event.p
	if v.toSink() {
		d.verdict = v
		s.depart(d)
	} else {
		p.leave()
	}
	if p.phase == ended || !p.window.Holds(d.event.slot) || p.phase == ending && v.Kind != Ack && !v.toSink() {
		s.forget(d)
		s.enterLine(p)
		return false
	}
	return true
}

// record takes the verdict on an attempt that has ended.
func (s *scheduler) record(d *delivery, v Verdict, err error, now time.Time) settled {
	p := d.event.p
	attempt := d.attempt
	switch v.Kind {
	case Ack:
		return settled{attempt: attempt, counts: true, acked: s.done(d)}
	case Send:
		s.send(d, now)
		return settled{attempt: attempt, counts: true}
	case Postpone:
		s.postpone(d, now.Add(v.Wait), now)
		return settled{}
	}
	d.failedAt(now)
	d.err = err
	if v.Uncounted {
		d.uncount()
	}
	if v.Hold {
		s.hold(p, now)
	}
	switch {
	case v.Final() && s.probes:
		d.place, d.verdict = asked, v
		s.asked = append(s.asked, d)
		s.wake.prober.ring()
		return settled{attempt: attempt, counts: true, pending: true}
	case v.Final():
		return s.final(d, v, now)
	}
	took := settled{attempt: attempt, counts: true, blocked: v.Kind == Block && !d.blocks}
	if v.Kind == Block {
		p.block(d, now)
	}
	s.retryAt(d, now.Add(v.Wait))
	return took
}

// final carries a final verdict out.
func (s *scheduler) final(d *delivery, v Verdict, now time.Time) settled {
	switch v.Kind {
	case Drop:
		return settled{attempt: d.attempt, counts: true, acked: s.done(d)}
	case DeadLetter:
		s.send(d, now)
		return settled{attempt: d.attempt, counts: true}
	}
	took := settled{attempt: d.attempt, counts: true, blocked: true}
	d.event.p.block(d, now)
	d.place = stuck
	return took
}

// done notes that a handler has its final verdict on an event, and reports
// whether it was the last one.
func (s *scheduler) done(d *delivery) bool {
	p := d.event.p
	s.forget(d)
	last := false
	if d.event.left--; d.event.left == 0 {
		last = true
		if p.window.Done(d.event.slot) {
			s.advanced(p)
		}
	}
	s.enterLine(p)
	return last
}

// retryAt lets a delivery wait for its next attempt.
func (s *scheduler) retryAt(d *delivery, at time.Time) {
	d.next = at
	if s.fallBehind(d) {
		return
	}
	d.place = waiting
	first, some := s.retries.next()
	s.retries.push(d)
	if !some || at.Before(first) {
		s.wake.timekeeper.ring()
	}
}

// wakeRetries makes the retries due whose time has come, and says when the
// next one is.
func (s *scheduler) wakeRetries(now time.Time) (next time.Time, some bool) {
	for d := s.retries.popDue(now); d != nil; d = s.retries.popDue(now) {
		s.ready(d, now)
	}
	next, some = s.wakeGroups(now)
	if at, waits := s.retries.next(); waits && (!some || at.Before(next)) {
		next, some = at, true
	}
	return next, some
}

// ready lets a delivery run as soon as it can.
func (s *scheduler) ready(d *delivery, now time.Time) {
	if d.event.p.away {
		s.park(d)
		return
	}
	d.h.push(d, due)
	s.pump(d.h, now)
}
