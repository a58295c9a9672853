package lanes

import (
	"slices"
	"time"
)

// withdraw takes back those of the rows that cannot have been written, and returns
// them.
func (m *machine) withdraw(rows []*row) (withdrawn []*row) {
	// Mostly it is one row, and what it is looked for in can be long.
	unwanted := func(r *row) bool { return r == rows[0] }
	if len(rows) != 1 {
		set := make(map[*row]bool, len(rows))
		for _, r := range rows {
			set[r] = true
		}
		unwanted = func(r *row) bool { return set[r] }
	}
	topics := make(map[*topic]bool, 1)
	for _, r := range rows {
		if t := m.topics[r.Topic]; t != nil {
			topics[t] = true
		}
	}
	take := func(r *row) bool {
		if !unwanted(r) {
			return false
		}
		withdrawn = append(withdrawn, r)
		return true
	}
	for t := range topics {
		t.unplaced = slices.DeleteFunc(t.unplaced, func(u addressed) bool { return take(u.row) })
		for _, l := range t.lanes {
			l.withdraw(take)
		}
	}
	m.stats.Returned += uint64(len(withdrawn))
	m.stats.Rows -= len(withdrawn)
	return withdrawn
}

// withdraw removes the rows that take wants, except from a batch that brokers may
// have. A lane that waited with nothing else is idle.
func (l *lane) withdraw(take func(*row) bool) {
	if b := l.hand; b != nil && l.state != flying && !b.uncertain {
		if rows := slices.DeleteFunc(slices.Clone(b.rows), take); len(rows) < len(b.rows) {
			l.release()
			if len(rows) > 0 {
				l.grab(rows, sizeOfBatch(rows))
			}
		}
	}
	// The parts share their memory with a batch that was refused, and the
	// queue with none that is in front of it.
	for i, part := range l.parts {
		l.parts[i] = slices.DeleteFunc(part, take)
	}
	l.parts = slices.DeleteFunc(l.parts, func(part []*row) bool { return len(part) == 0 })
	before := len(l.queue)
	l.queue = slices.DeleteFunc(l.queue, take)
	switch n := len(l.queue); {
	case n == before:
	case n == 0:
		l.queue, l.queued = nil, 0
	default:
		l.queued = l.queued / before * n
	}
	if !l.pending() && l.state != flying {
		l.state, l.since = idle, time.Time{} // what comes has not failed yet
	}
}
