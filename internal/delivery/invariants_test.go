package delivery

import "fmt"

// checkCounts compares every count that the scheduler keeps with what it
// counts. What a prober or a sink has in its hands at the moment cannot be
// seen, so the counts of what is underway are at least what is seen.
func (e *Engine) checkCounts() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.s
	workers, busy := map[*handler]int{}, map[*partition]int{}
	for w := range s.workers {
		if len(w.ds) > 0 {
			workers[w.h]++
		}
		for _, d := range w.ds {
			if d.place != running {
				return fmt.Errorf("a worker of %s has a delivery at place %d", w.h.Name, d.place)
			}
			busy[d.event.p]++
		}
	}
	pressed, underway := map[*partition]int{}, 0
	see := func(d *delivery, where ...place) error {
		p := d.event.p
		if d.pressed {
			pressed[p]++
		}
		if d.underway {
			underway++
			busy[p]++
		}
		for _, w := range where {
			if d.place == w {
				return nil
			}
		}
		return fmt.Errorf("a delivery of %s is at place %d, in a list of %v", d.h.Name, d.place, where)
	}
	for _, h := range s.handlers {
		if h.workers != workers[h] {
			return fmt.Errorf("%s has %d workers and counts %d", h.Name, workers[h], h.workers)
		}
		if err := h.checkLanes(); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		for _, l := range h.lanes {
			for d := l.first; d != nil; d = d.after {
				if d.place == behind {
					_ = see(d, behind)
				}
			}
		}
		for n := h.due.head; n != h.due.tail; n++ {
			if err := see(*h.due.at(n), due); err != nil {
				return err
			}
		}
		for n := h.queue.head; n != h.queue.tail; n++ {
			if err := see(*h.queue.at(n), queued); err != nil {
				return err
			}
		}
	}
	for _, d := range s.retries.h {
		if err := see(d, waiting); err != nil {
			return err
		}
	}
	for _, d := range s.asked {
		if err := see(d, asked); err != nil {
			return err
		}
	}
	for _, d := range s.outbound {
		if err := see(d, sent); err != nil {
			return err
		}
	}
	for _, p := range s.partitions {
		for _, d := range p.parked {
			if err := see(d, parked); err != nil {
				return err
			}
		}
	}
	if s.underway < underway {
		return fmt.Errorf("%d deliveries are underway, and %d are counted", underway, s.underway)
	}
	for w := range s.workers {
		for _, d := range w.ds {
			if d.pressed {
				pressed[d.event.p]++
			}
		}
	}
	backlogs := 0
	for tp, p := range s.partitions {
		if !p.paused {
			backlogs += p.backlog.len()
		}
		if p.running < busy[p] || p.running > busy[p]+s.underway-underway {
			return fmt.Errorf("%v: %d deliveries run or are underway, and %d are counted", tp, busy[p], p.running)
		}
		if p.pressed < pressed[p] || p.pressed > pressed[p]+s.underway-underway {
			return fmt.Errorf("%v: %d deliveries are pressed, and %d are counted", tp, pressed[p], p.pressed)
		}
		if !p.away && len(p.parked)+len(p.parkedGroups) > 0 {
			return fmt.Errorf("%v is not held, and has %d deliveries and %d groups parked", tp, len(p.parked), len(p.parkedGroups))
		}
		if p.admissible() && !p.inLine && p.window.Len() == 0 {
			return fmt.Errorf("%v has something to admit, room, and is not in line", tp)
		}
	}
	if s.flow.waiting != backlogs {
		return fmt.Errorf("%d records are in the backlogs of partitions that are not paused, and %d are counted", backlogs, s.flow.waiting)
	}
	return s.checkGroups()
}

// checkLanes compares a handler's lanes with their counts.
func (h *handler) checkLanes() error {
	allBehind, allCounted := 0, 0
	for key, l := range h.lanes {
		out, waits := 0, 0
		var last *delivery
		for d := l.first; d != nil; d = d.after {
			if d.ahead != last || d.lane != l {
				return fmt.Errorf("lane %q is not linked", key.key)
			}
			last = d
			if d.place == behind {
				waits++
			} else {
				out++
			}
		}
		counted := waits
		if l.slow {
			counted = 0
		}
		switch {
		case last == nil || last != l.last:
			return fmt.Errorf("lane %q has no end", key.key)
		case out != l.out || waits != l.behind || counted != l.counted:
			return fmt.Errorf("lane %q has %d out, %d behind, %d of them counted; it counts %d, %d, %d", key.key, out, waits, counted, l.out, l.behind, l.counted)
		case l.first.place == behind && key.p.phase == owned:
			return fmt.Errorf("the first delivery of lane %q waits for nobody", key.key)
		}
		allBehind += waits
		allCounted += counted
	}
	if allBehind != h.behind || allCounted != h.counted {
		return fmt.Errorf("%d deliveries are behind in lanes, %d of them counted; %d and %d are the counts", allBehind, allCounted, h.behind, h.counted)
	}
	return nil
}

// checkGroups finds groups that nobody would run again.
func (s *scheduler) checkGroups() error {
	ready := map[*group]bool{}
	for _, h := range s.handlers {
		for n := h.groups.head; n != h.groups.tail; n++ {
			ready[*h.groups.at(n)] = true
		}
	}
	held := map[*group]bool{}
	for _, p := range s.partitions {
		for _, g := range p.parkedGroups {
			held[g] = true
		}
	}
	atWork := map[*group]bool{}
	for w := range s.workers {
		if w.group != nil {
			atWork[w.group] = true
		}
	}
	for _, g := range s.groups {
		in := map[place]bool{due: ready[g], parked: held[g], running: atWork[g], waiting: true}
		if !in[g.place] || ready[g] != (g.place == due) || held[g] != (g.place == parked) {
			return fmt.Errorf("a group of %s at place %d is where it is not found", g.h.Name, g.place)
		}
		for d := range g.parts.all {
			if d.place != grouped && !(g.place == running && d.place == running) {
				return fmt.Errorf("a group of %s at place %d has a member at %d", g.h.Name, g.place, d.place)
			}
		}
	}
	if len(ready)+len(held)+len(atWork) > len(s.groups) {
		return fmt.Errorf("%d groups are listed, and %d known", len(ready)+len(held)+len(atWork), len(s.groups))
	}
	return nil
}
