package lanes

import "time"

// noticeKind is a method of Report, or something for the log.
type noticeKind uint8

const (
	noticeAcked noticeKind = iota
	noticeRefused
	noticeReturned
	noticeHeld
	noticeReady
	noticeFenced
	noticeRecreated
	noticeGrown
	noticeFailing
	noticeWell
)

// notice is something to report. The machine collects notices in the order in
// which things have happened, and they are reported in that order.
type notice struct {
	kind noticeKind
	rows []*row
	// partition and offset are where acknowledged rows are stored; of a partition
	// that fails, or not any more, -1 is the whole topic.
	partition int32
	offset    int64
	topic     string
	id        Identity
	err       error
	// before and after are numbers of partitions.
	before, after int
	// lasting is for how long something has failed.
	lasting time.Duration
}

// note adds a notice, and counts.
func (m *machine) note(n notice) {
	switch n.kind {
	case noticeAcked:
		m.stats.Acked += uint64(len(n.rows))
	case noticeRefused:
		if len(n.rows) == 0 {
			return
		}
		m.stats.Refused += uint64(len(n.rows))
	case noticeReturned:
		if len(n.rows) == 0 {
			return
		}
		m.stats.Returned += uint64(len(n.rows))
	}
	m.stats.Rows -= len(n.rows)
	m.notices = append(m.notices, n)
}

// tell reports a notice.
func (s *Sender) tell(n notice) {
	r := s.cfg.Report
	switch n.kind {
	case noticeAcked:
		r.Acked(n.rows, n.partition, n.offset)
	case noticeRefused:
		for _, row := range n.rows {
			r.Refused(row, n.err)
		}
	case noticeReturned:
		r.Returned(n.rows)
	case noticeHeld:
		r.Held(n.topic, n.err)
	case noticeReady:
		r.Ready(n.topic)
	case noticeFenced:
		r.Fenced(n.id, n.err)
	case noticeRecreated:
		s.cfg.Logger.Warn("kafka: the topic was deleted and created again; sending goes on with the new one", "wire_topic", n.topic, "partitions", n.after)
		if s.cfg.Recreated != nil {
			s.cfg.Recreated(n.topic)
		}
	case noticeGrown:
		s.cfg.Logger.Warn("kafka: the topic has more partitions; keys move to other partitions from here on", "wire_topic", n.topic, "before", n.before, "partitions", n.after)
	case noticeFailing:
		if leftOut, ok := s.failing.Allow(n.topic, time.Now()); ok {
			s.cfg.Logger.Warn("kafka: a partition cannot be written, and callers wait for it; it is tried again",
				"wire_topic", n.topic, "partition", n.partition, "failing_for", n.lasting, "error", n.err, "left_out", leftOut)
		}
	case noticeWell:
		if leftOut, ok := s.well.Allow(n.topic, time.Now()); ok {
			s.cfg.Logger.Info("kafka: a partition can be written again", "wire_topic", n.topic, "partition", n.partition, "left_out", leftOut)
		}
	}
}

// report reports what the machine has noticed, in its order: one goroutine at a
// time does, for the others too. mu is held, except while something is
// reported.
func (s *Sender) report() {
	if s.telling {
		return
	}
	s.telling = true
	for len(s.m.notices) > 0 {
		notices := s.m.notices
		s.m.notices = s.spare
		s.spare = nil
		s.mu.Unlock()
		for _, n := range notices {
			s.tell(n)
		}
		clear(notices)
		s.mu.Lock()
		s.spare = notices[:0]
	}
	s.telling = false
}
