package lanes

// A topic that cannot be written is held: what is queued of it, and what comes,
// is returned, so that neither memory nor the other topics' room is used up,
// however long it lasts.
//
// What may have been written stays in its lane's hand, since only the same
// bytes with the same sequence numbers can be sent again without being stored
// twice. Everything else is returned, except, if nothing else finds out when
// the topic is well again, the first row of the lane that has failed.
//
// When no lane of the topic has a batch in hand any more, the topic is well,
// and cleared. Rows are returned further on until Resume: the source has to go
// back to the first row that was returned before a later one of its key is
// sent.

// hold holds a topic, unless it is held. l is the lane that has failed; nil if
// it is the whole topic.
func (m *machine) hold(t *topic, l *lane, err error) {
	if t.state != open || m.stopping {
		return
	}
	if m.cfg.Patient {
		m.giveUp(t, err)
		return
	}
	t.state = held
	m.note(notice{kind: noticeHeld, topic: t.name, err: err})
	returned := t.unplace()
	for _, other := range t.lanes {
		switch {
		case other.state == flying:
			returned = append(returned, other.drain()...)
		default:
			returned = append(returned, other.trim(other == l)...)
		}
	}
	m.note(notice{kind: noticeReturned, rows: returned})
	m.watch(t)
	m.settleTopic(t)
}

// giveUp refuses all rows of a topic that are not in requests, of which the
// answers decide.
func (m *machine) giveUp(t *topic, err error) {
	rows := t.unplace()
	for _, l := range t.lanes {
		if l.state == flying {
			rows = append(rows, l.drain()...)
			continue
		}
		rows = append(rows, l.abandon()...)
	}
	m.note(notice{kind: noticeRefused, rows: rows, err: err})
}

// settleTopic clears a held topic once there is nothing left that could find out
// more about it.
func (m *machine) settleTopic(t *topic) {
	if t.state == held && t.busy == 0 && t.partitions > 0 {
		t.state = cleared
		m.note(notice{kind: noticeReady, topic: t.name})
	}
}

// resume opens a topic that was cleared.
func (m *machine) resume(name string) {
	if t := m.topics[name]; t != nil && t.state == cleared {
		t.state = open
		for _, l := range t.lanes {
			l.recovered()
		}
	}
}

// evict empties a lane whose rows are to be placed anew, also those that were
// perhaps written: the log is gone. The lane is not flying.
func (m *machine) evict(l *lane) {
	m.note(notice{kind: noticeReturned, rows: l.abandon()})
	m.settleTopic(l.topic)
}
