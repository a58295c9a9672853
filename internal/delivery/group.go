package delivery

import (
	"slices"
	"time"
)

// A group is a batch that has not succeeded, on its way to its next run. Its
// members run with each other and with nobody else; a group loses members (to
// their verdicts, to a revocation) and never gains any. Guarded by the lock;
// while a part of it runs, the deliveries in that part are running, the others
// grouped.
type group struct {
	h     *handler
	parts parts[*delivery]
	// repeated: it was tried once more as a whole, or need not be. Written
	// only where its worker ends or when nobody runs it.
	repeated bool

	// place is one of these:
	//
	//	waiting   until at
	//	parked    in the list of holder, a partition that is held
	//	due       in its handler's list
	//	running   in the hands of a worker
	place  place
	at     time.Time
	holder *partition
}

// regroup says how the members of a batch go on that has not succeeded: those
// that stay have the verdict v, none of them by itself. g is the group that
// has run, nil if it was a batch for the first time.
func (s *scheduler) regroup(h *handler, g *group, stay []*delivery, v Verdict, now time.Time) {
	stay = slices.DeleteFunc(stay, func(d *delivery) bool {
		// Of its lane only what is in the group may be in front of it: those
		// have their new place by now.
		if d.ahead == nil || d.ahead.place == grouped {
			d.place = grouped
			return false
		}
		return s.fallBehind(d)
	})
	switch {
	case g != nil:
		g.parts.pass()
	case len(stay) > 0:
		g = &group{h: h}
		s.groups = append(s.groups, g)
	default:
		return
	}
	if len(stay) == 0 {
		s.goOn(g)
		return
	}
	g.parts.push(stay)
	switch {
	case v.Kind == Halve:
		g.repeated = true
		g.parts.halve()
		s.goOn(g)
	case v.Kind == RetryAfter && v.Wait == 0 && !v.Hold:
		s.goOn(g)
	default:
		g.repeated = g.repeated || v.Kind == Repeat
		s.waitUntil(g, now.Add(v.Wait))
		if v.Hold {
			for _, d := range stay {
				s.hold(d.event.p, now)
			}
		}
	}
}

// fallBehind takes the members of a lane out of a group that do not run: one in
// front of them has left it and is to be tried again.
func (g *group) fallBehind(s *scheduler, l *lane) {
	g.parts.remove(func(d *delivery) bool { return d.lane == l && d.place == grouped }, func(d *delivery) { s.fallBehind(d) })
}

// waitUntil lets a group wait for its time.
func (s *scheduler) waitUntil(g *group, at time.Time) {
	g.place, g.at = waiting, at
	s.wake.timekeeper.ring()
}

// goOn lets the next part of a group run as soon as it can, or forgets a group
// that has none. The caller starts workers.
func (s *scheduler) goOn(g *group) {
	if g.parts.empty() {
		s.disband(g)
		return
	}
	for _, d := range g.parts.next() {
		if p := d.event.p; p.away {
			g.place, g.holder = parked, p
			p.parkedGroups = append(p.parkedGroups, g)
			return
		}
	}
	g.place = due
	g.h.groups.push(g)
}

// releaseGroups lets the groups go on that were parked with a partition.
func (s *scheduler) releaseGroups(p *partition) {
	groups := p.parkedGroups
	p.parkedGroups = nil
	for _, g := range groups {
		g.holder = nil
		s.goOn(g)
	}
}

// parkGroups parks the groups that cannot run since a partition is held.
func (s *scheduler) parkGroups(p *partition, h *handler) {
	h.groups.take(func(g *group) bool {
		return slices.ContainsFunc(g.parts.next(), func(d *delivery) bool { return d.event.p == p })
	}, s.goOn)
}

// wakeGroups lets the groups go on whose time has come, and says when that of
// the next one comes.
func (s *scheduler) wakeGroups(now time.Time) (next time.Time, some bool) {
	for _, g := range slices.Clone(s.groups) {
		if g.place != waiting {
			continue
		}
		if !g.at.After(now) {
			s.goOn(g)
			s.pump(g.h, now)
		} else if !some || g.at.Before(next) {
			next, some = g.at, true
		}
	}
	return next, some
}

// removeGrouped forgets the members of groups that match and do not run.
func (s *scheduler) removeGrouped(match func(*delivery) bool, forget func(*delivery)) {
	for _, g := range slices.Clone(s.groups) {
		g.parts.remove(func(d *delivery) bool { return d.place == grouped && match(d) }, forget)
		if g.parts.empty() {
			s.disband(g)
		}
	}
}

// disband forgets a group that has no members. If it runs its worker does it.
func (s *scheduler) disband(g *group) {
	is := func(other *group) bool { return other == g }
	switch g.place {
	case due:
		g.h.groups.take(is, func(*group) {})
	case parked:
		g.holder.parkedGroups = without(g.holder.parkedGroups, g)
	}
	s.groups = without(s.groups, g)
}
