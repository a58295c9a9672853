package lanes

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// send takes rows for a partition, or byKey, over, and returns those of topics
// that are held.
func (m *machine) send(now time.Time, rows []*row, partition int32) (returned []*row) {
	var t *topic
	for _, r := range rows {
		if t == nil || t.name != r.Topic {
			t = m.topic(r.Topic)
			if t.state == open && !t.asked && !t.lookedUp.IsZero() && now.Sub(t.lookedUp) > m.cfg.MetadataMaxAge {
				m.seek(now, t)
			}
		}
		switch {
		case t.state != open:
			returned = append(returned, r)
			m.stats.Returned++
		case t.partitions == 0 || int(partition) >= t.partitions:
			m.stats.Rows++
			if len(t.unplaced) == 0 {
				t.since = now
				m.seek(now, t)
			}
			t.unplaced = append(t.unplaced, addressed{r, partition})
		default:
			m.stats.Rows++
			m.place(now, t, addressed{r, partition})
		}
	}
	return returned
}

func (m *machine) topic(name string) *topic {
	t := m.topics[name]
	if t == nil {
		t = &topic{name: name, limit: defaultMaxMessageBytes}
		m.topics[name] = t
	}
	return t
}

// place gives a row to its lane.
func (m *machine) place(now time.Time, t *topic, r addressed) {
	l := t.laneFor(r)
	l.push(r.row)
	if l.state != idle {
		return
	}
	// If what it was to try again was withdrawn, it has to wait on; but somebody
	// has to look for a leader.
	if l.retryAt.After(now) && l.leader != noLeader {
		l.since = now
		m.wait(l)
		return
	}
	m.makeReady(now, l)
}

// makeReady lets a lane with something to send be sent as soon as its leader
// has room.
func (m *machine) makeReady(now time.Time, l *lane) {
	if l.leader == noLeader {
		if l.since.IsZero() {
			l.since = now
		}
		if l.err == nil {
			l.err = kerr.LeaderNotAvailable
		}
		l.seeking = true
		m.wait(l)
		m.seek(now, l.topic)
		return
	}
	l.state = ready
	b := m.leader(l.leader)
	if l.failures > 0 {
		b.failing = append(b.failing, l)
	} else {
		b.healthy = append(b.healthy, l)
	}
}

func (m *machine) leader(id int32) *leader {
	for _, b := range m.leaders {
		if b.id == id {
			return b
		}
	}
	b := &leader{id: id}
	m.leaders = append(m.leaders, b)
	return b
}

// wait lets a lane wait for its retryAt, or for a leader.
func (m *machine) wait(l *lane) {
	l.state = waiting
	if !l.listed {
		l.listed = true
		m.waiting = append(m.waiting, l)
	}
}
