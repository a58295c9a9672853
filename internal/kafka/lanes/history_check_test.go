package lanes

import (
	"fmt"
)

func (h *history) finished() bool {
	for _, rows := range h.rows {
		for _, r := range rows {
			if r.state != done && r.state != parked {
				return false
			}
		}
	}
	return true
}

// check looks at what must hold at all times.
func (h *history) check() {
	if h.cluster.rejected > 0 && !h.haunted {
		h.t.Fatalf("the sequence is broken: %s", h.state())
	}
	rows := 0
	for _, t := range h.m.topics {
		busy := 0
		count := func(l *lane) {
			if l.hand != nil {
				busy++
				rows += len(l.hand.rows)
			}
			for _, part := range l.parts {
				rows += len(part)
			}
			rows += len(l.queue)
			if t.state != open && len(l.parts)+len(l.queue) > 0 {
				h.t.Fatalf("topic %s is %v, and has rows queued", t.name, t.state)
			}
			if (l.state == idle) == l.pending() {
				h.t.Fatalf("lane %s/%d is %v, pending %v", t.name, l.partition, l.state, l.pending())
			}
		}
		for _, l := range t.lanes {
			count(l)
			// The brokers may know of a batch that was given up.
			h.haunted = h.haunted || l.below > 0
		}
		rows += len(t.unplaced)
		if busy != t.busy {
			h.t.Fatalf("topic %s: %d lanes are busy, counted %d", t.name, busy, t.busy)
		}
		if t.state == held && busy == 0 && t.partitions > 0 {
			h.t.Fatalf("topic %s is held, but nothing finds out when it is well", t.name)
		}
	}
	if rows != h.m.stats.Rows {
		h.t.Fatalf("%d rows, counted %d", rows, h.m.stats.Rows)
	}
}

// checkLogs looks at what was stored.
func (h *history) checkLogs() {
	for _, t := range h.cluster.topics {
		h.checkLog(t)
	}
}

func (h *history) checkLog(t *modelTopic) {
	last := make(map[byte]int64)
	for i, p := range t.parts {
		seen := make(map[written]int)
		first := make(map[*row]int)
		for at, w := range p.log {
			if _, again := seen[w]; again {
				h.t.Fatalf("row %d is twice in %s/%d: %v", w.row.Seq, t.name, i, p.log)
			}
			seen[w] = at
			if _, again := first[w.row]; again {
				continue
			}
			first[w.row] = at
			if w.row.Key == nil || h.growing {
				continue
			}
			if key := w.row.Key[0]; w.row.Seq < last[key] {
				h.t.Fatalf("row %d comes after row %d in %s/%d: %v", w.row.Seq, last[key], t.name, i, p.log)
			} else {
				last[key] = w.row.Seq
			}
		}
		at := -1
		for _, w := range h.acked[fmt.Sprintf("%x/%d", t.id, i)] {
			where, ok := seen[w]
			if !ok || where <= at {
				h.t.Fatalf("row %v was acknowledged out of order, or is not in %s/%d: %v", w, t.name, i, p.log)
			}
			at = where
		}
	}
}

func (h *history) state() string {
	s := fmt.Sprintf("now %v, fenced %v, %d requests, lookups %v (looking %v), ensure %v\n", h.now, h.m.fenced, len(h.requests), h.lookups, h.m.looking, h.ensure)
	for _, t := range h.m.topics {
		s += fmt.Sprintf("topic %s %v busy %d unplaced %d lookupAt %v ensuring %v listed %v\n", t.name, t.state, t.busy, len(t.unplaced), t.lookupAt, t.ensuring, t.listed)
		for _, l := range t.lanes {
			s += fmt.Sprintf("  lane %d %v leader %d hand %v parts %d queue %d failures %d retryAt %v err %v listed %v\n",
				l.partition, l.state, l.leader, l.hand != nil, len(l.parts), len(l.queue), l.failures, l.retryAt, l.err, l.listed)
		}
	}
	return s
}
