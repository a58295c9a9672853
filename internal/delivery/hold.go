package delivery

import "time"

// hold keeps a partition until the servers answer: nothing is admitted, and
// what could start is parked.
func (s *scheduler) hold(p *partition, now time.Time) {
	if !s.probes || p.away || p.phase != owned {
		return
	}
	p.away, p.awaySince = true, now
	s.held = append(s.held, p)
	ours := func(d *delivery) bool { return d.event.p == p }
	for _, h := range p.topic.handlers {
		h.due.take(ours, s.park)
		h.queue.take(ours, s.park)
		s.parkGroups(p, h)
	}
	s.refill(p.topic, now) // other partitions have room now
	s.wake.prober.ring()
}

// park lets a delivery wait until its partition, which is held, goes on.
func (s *scheduler) park(d *delivery) {
	d.slacken()
	d.place = parked
	p := d.event.p
	p.parked = append(p.parked, d)
}

// question is what a prober's answer is about.
type question struct {
	asked []*delivery
	held  []*partition
}

// ask returns what waits for an answer. What comes later waits for the next
// one, since an answer says nothing of failures that came after the question.
func (s *scheduler) ask() (q question, any bool) {
	q = question{s.asked, s.held}
	s.asked, s.held = nil, nil
	return q, len(q.asked)+len(q.held) > 0
}

// confirmed is a final verdict that the prober has confirmed.
type confirmed struct {
	d    *delivery
	v    Verdict
	err  error
	took settled
}

// healthy is the answer that the servers are well: final verdicts fall, and
// partitions go on.
func (s *scheduler) healthy(q question, now time.Time) []confirmed {
	var all []confirmed
	for _, d := range q.asked {
		if s.stillAsked(d) {
			all = append(all, confirmed{d, d.verdict, d.err, s.final(d, d.verdict, now)})
		}
	}
	for _, p := range q.held {
		if p.away {
			s.letGo(p, now)
		}
	}
	for _, d := range q.asked {
		s.refill(d.h.topic, now)
	}
	return all
}

// letGo lets a partition go on that was held.
func (s *scheduler) letGo(p *partition, now time.Time) {
	p.away = false
	released := p.parked
	p.parked = nil
	for _, d := range released {
		d.h.push(d, due)
	}
	s.releaseGroups(p)
	s.enterLine(p)
	s.refill(p.topic, now)
}

// unhealthy is the answer that they are not: what would have been given up is
// tried again when they are, with the whole timeout, since all of its attempts
// may have failed for the same reason.
func (s *scheduler) unhealthy(q question, now time.Time) {
	for _, p := range q.held {
		if p.away {
			s.held = append(s.held, p)
		}
	}
	for _, d := range q.asked {
		if !s.stillAsked(d) {
			continue
		}
		p := d.event.p
		if p.phase != owned { // the next owner tries it again
			s.forget(d)
			continue
		}
		s.arrive(d)
		d.renew()
		if !s.fallBehind(d) {
			s.park(d)
		}
		s.hold(p, now)
	}
	for _, d := range q.asked { // what has left may have made room, or let others of its lane out
		s.refill(d.h.topic, now)
	}
}

// stillAsked reports whether a delivery still waits for the prober's answer.
// Its epoch may have ended meanwhile, or its record may have been replaced.
func (s *scheduler) stillAsked(d *delivery) bool {
	p := d.event.p
	if d.place == asked && p.live(d) {
		return true
	}
	s.forget(d)
	s.enterLine(p)
	return false
}
