package delivery

import (
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// feed takes what a poll has returned. What is not owned is dropped, and so is
// what was fetched in an assignment that has ended, although the partition may
// be ours again: a commit could pass what lies before it.
func (s *scheduler) feed(fetched []kafka.Fetched, now time.Time) {
	for i := range fetched {
		f := &fetched[i]
		p := s.partitions[f.TopicPartition]
		if p == nil && !s.commits {
			p = s.assign(f.TopicPartition, now) // a broadcast owns what it reads
		}
		if p == nil || p.phase != owned || f.Stale() {
			continue
		}
		s.feedPartition(p, f, now)
	}
	for i := range fetched {
		if t := s.topics[fetched[i].Topic]; t != nil {
			s.refill(t, now)
		}
	}
}

func (s *scheduler) feedPartition(p *partition, f *kafka.Fetched, now time.Time) {
	if len(f.Records) > 0 {
		before := p.backlog.len()
		if before == 0 {
			p.progress = now
		}
		s.truncate(p, f.Records[0].Offset)
		p.backlog.add(f.Records, now)
		s.flow.changed(p, p.backlog.len()-before)
	}
	p.position = f.Next
	if p.backlog.len() == 0 {
		s.passed(p)
		return
	}
	s.enterLine(p)
	s.flow.grew(p, &s.limits)
}

// truncate forgets what was fetched from an offset on, if there was something:
// after a truncation the log is read again from an earlier offset. That is not
// left to the admission, since one of these records may be the reason that
// nothing is admitted.
func (s *scheduler) truncate(p *partition, from int64) {
	p.backlog.truncate(from)
	if p.window.Truncate(from) {
		s.remove(func(d *delivery) bool { return d.event.p == p && !p.window.Holds(d.event.slot) })
	}
}

// passed notes that everything that was polled of the partition was admitted:
// what lies between the last record and the position concerns nobody.
func (s *scheduler) passed(p *partition) {
	p.window.Skip(p.position.At, p.position.LeaderEpoch)
	s.advanced(p)
}

// advanced tells the committer if the partition has something to commit.
func (s *scheduler) advanced(p *partition) {
	if s.commits && !p.dirty && p.window.Dirty() {
		p.dirty = true
		s.dirty = append(s.dirty, p)
		s.wake.committer.ring()
	}
}

// enterLine puts a partition in its topic's line if it has something to admit.
func (s *scheduler) enterLine(p *partition) {
	if !p.inLine && p.admissible() {
		p.inLine = true
		p.topic.line.push(p)
	}
}

// refill admits what fits and starts workers for it, until nothing more fits:
// what a worker takes makes room in its queue.
func (s *scheduler) refill(t *topic, now time.Time) {
	for started := true; started; {
		s.admit(t, now)
		started = false
		for _, h := range t.handlers {
			if s.pump(h, now) {
				started = true
			}
		}
	}
}

// refillFor is refill when something has changed for one handler alone: the
// topic's others, of which there may be many, have nothing new to start unless
// something is admitted.
func (s *scheduler) refillFor(h *handler, now time.Time) {
	if s.admit(h.topic, now) || s.pump(h, now) {
		s.refill(h.topic, now)
	}
}

// admit moves records from the backlogs to the windows and the queues while
// every handler of the topic has room, and reports whether it has moved any.
// The partitions take turns.
func (s *scheduler) admit(t *topic, now time.Time) (admitted bool) {
	t.admitted = now
	for t.line.len() > 0 && t.hasRoom() {
		p := t.line.pop()
		p.inLine = false
		if p.admissible() && s.admitFirst(p, now) {
			admitted = true
			s.enterLine(p)
		}
	}
	return admitted
}

// admitFirst admits the oldest record of a backlog, unless the window is full;
// then it is tried again when something of the partition is done.
func (s *scheduler) admitFirst(p *partition, now time.Time) bool {
	record, polled := p.backlog.first()
	size := sizeOf(record)
	slot, ok := p.window.Add(record.Offset, record.LeaderEpoch, size)
	if !ok {
		s.press(p, now)
		return false
	}
	p.full = false
	p.backlog.drop(size)
	p.progress = now
	ev := events.Get().(*event)
	ev.p, ev.record, ev.slot, ev.polled, ev.left = p, record, slot, polled, len(p.topic.handlers)
	others := make([]delivery, len(p.topic.handlers)-1)
	for i, h := range p.topic.handlers {
		d := &ev.first
		if i > 0 {
			d = &others[i-1]
		}
		d.event, d.h = ev, h
		if h.enterLane(d) {
			h.push(d, queued)
		}
	}
	if p.backlog.len() == 0 {
		s.passed(p)
	}
	s.flow.shrank(p, &s.limits, s.wake.poller)
	return true
}
