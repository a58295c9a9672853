package lanes

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// found takes over what a lookup has found out about a topic.
func (m *machine) found(now time.Time, name string, info topicInfo) {
	t := m.topic(name)
	t.asked = false
	t.setLimit(info.limit)
	if len(info.partitions) == 0 {
		m.missed(now, name, kerr.UnknownTopicOrPartition)
		return
	}
	before := t.partitions
	leaders := make([]int32, before)
	for i := range leaders {
		leaders[i] = t.lanes[i].leader
	}
	if !t.complained.IsZero() {
		t.complained = time.Time{}
		m.note(notice{kind: noticeWell, topic: name, partition: -1})
	}
	again := t.adopt(info)
	t.tries, t.lookedUp, t.err, t.missing = 0, now, nil, time.Time{}
	if again {
		m.note(notice{kind: noticeRecreated, topic: name, after: t.partitions})
	} else if before > 0 && before < t.partitions {
		m.note(notice{kind: noticeGrown, topic: name, before: before, after: t.partitions})
	}
	if (again || t.partitions < before) && t.partitions != before && slices.ContainsFunc(t.lanes, (*lane).pending) {
		m.scatter(t)
	}
	for i, l := range t.lanes[:min(before, t.partitions)] {
		if l.leader == leaders[i] {
			continue
		}
		// It is in the old leader's list, or waits for this one.
		if l.state == ready || l.state == waiting && (l.seeking || leaders[i] == noLeader) {
			m.makeReady(now, l)
		}
	}
	unplaced := t.unplaced
	t.unplaced = nil
	for _, u := range unplaced {
		if int(u.partition) >= t.partitions {
			m.note(notice{kind: noticeRefused, rows: []*row{u.row}, err: &RefusedError{
				Topic: t.name, Partition: u.partition, Err: ErrNoPartition}})
			continue
		}
		m.place(now, t, u)
	}
	for _, l := range t.lanes[:t.partitions] {
		if l.leader == noLeader && l.pending() {
			t.tries++
			t.lookupAt = now.Add(m.backoff.Delay(t.tries, m.random()))
			m.watch(t)
			break
		}
	}
	m.settleTopic(t)
}

// scatter gives back all rows of a topic that was created again with another
// number of partitions: they have to be placed anew, in their order.
func (m *machine) scatter(t *topic) {
	m.hold(t, nil, &HeldError{Topic: t.name, Partition: -1, Reason: "it was created again with another number of partitions, and what waits has to be placed anew"})
	for _, l := range t.lanes {
		if l.state == flying {
			l.hand.stray = m.cfg.Patient // a held topic returns it anyway
			m.note(notice{kind: noticeReturned, rows: l.drain()})
		} else {
			m.evict(l)
		}
	}
}

// missed notes that a lookup has not found a topic, or was not answered.
func (m *machine) missed(now time.Time, name string, err error) {
	t := m.topic(name)
	t.asked, t.err, t.missing = false, err, time.Time{}
	t.tries++
	t.lookupAt = time.Time{}
	if t.wanted() {
		t.lookupAt = now.Add(m.backoff.Delay(t.tries, m.random()))
		m.watch(t)
	}
}

// forbidden notes that a lookup was refused in a way that does not go away by
// itself.
func (m *machine) forbidden(now time.Time, name string, err error) {
	m.missed(now, name, err)
	if t := m.topic(name); t.partitions == 0 {
		m.holdPending(t, err)
	}
	// If the partitions are known, the answers to what is sent decide.
}

// unknown notes that a topic does not exist, and lets it be created.
func (m *machine) unknown(now time.Time, name string, err error) {
	since := m.topic(name).missing
	m.missed(now, name, err)
	t := m.topic(name)
	t.missing = cmp.Or(since, now)
	if m.cfg.EnsureTopic != nil && t.wanted() && !t.ensuring {
		t.ensuring = true
		m.ensure = append(m.ensure, name)
	}
}

// ensured takes the result of EnsureTopic.
func (m *machine) ensured(now time.Time, name string, err error) {
	t := m.topic(name)
	t.ensuring = false
	if err != nil {
		t.err = err
		m.holdPending(t, err)
	} else if t.tries <= 1 && !t.lookupAt.IsZero() {
		t.lookupAt = now
	}
	if !t.lookupAt.IsZero() {
		m.watch(t)
	}
}

// holdPending holds a topic, if there is anything that waits for it.
func (m *machine) holdPending(t *topic, err error) {
	held := &HeldError{Topic: t.name, Partition: -1, Err: err}
	if len(t.unplaced) > 0 {
		m.hold(t, nil, held)
		return
	}
	for _, l := range t.lanes {
		if l.state == waiting {
			m.hold(t, l, held)
			return
		}
	}
}
