package delivery

import "fmt"

// Ordering says which deliveries of a handler run one after the other.
type Ordering int

const (
	// Unordered deliveries run in any order.
	Unordered Ordering = iota
	// ByKey: those of one key of one partition, in the order of their
	// offsets. Records without key are not ordered; an empty key is a key.
	ByKey
	// ByPartition: those of one partition.
	ByPartition
)

// String returns the constant's name.
func (o Ordering) String() string {
	switch o {
	case Unordered:
		return "Unordered"
	case ByKey:
		return "ByKey"
	case ByPartition:
		return "ByPartition"
	}
	return fmt.Sprintf("Ordering(%d)", int(o))
}

// A lane is the order in which deliveries run: those of one key, or of one
// partition, in one assignment, that have no final verdict.
//
//	first                                  last
//	a1 ------ a2 ------ a3 ------ a4 ------ a5
//	\________________/  \____________________/
//	 out: in a queue,    behind: they wait for
//	 running, retrying   all that are out
//
// Only the first one comes out, and with it, into the same run, those that
// follow it. What has been out together and failed stays so in a group, or
// goes back behind the first. So a lane is never in two runs, and nothing of it
// runs before everything in front of it has its final verdict or is part of the
// same run. The first one is out, as long as the partition is ours. (A handler
// that is not exactly-once and names events of a batch as failed has done the
// others: those of the same lane have overtaken it by that.)
//
// A lane is forgotten when it is empty. Guarded by the engine's lock.
type lane struct {
	h           *handler
	key         laneKey
	first, last *delivery
	// out and behind are how many there are of each; counted, of these behind,
	// take room in the handler's queue: all, unless the lane is slow, because
	// the first one has failed or is parked.
	out, behind, counted int
	slow                 bool
}

type laneKey struct {
	p   *partition
	key string
}

// enterLane puts a delivery at the end of its lane, if it has one, and reports
// whether it can run.
func (h *handler) enterLane(d *delivery) (runs bool) {
	p := d.event.p
	var l *lane
	switch key := d.event.record.Key; {
	case h.Ordering == Unordered || h.Ordering == ByKey && key == nil:
		return true
	case h.Ordering == ByPartition:
		if l = h.lanes[laneKey{p: p}]; l == nil {
			l = h.newLane(laneKey{p: p})
		}
	default:
		if l = h.lanes[laneKey{p, string(key)}]; l == nil { // which allocates nothing
			l = h.newLane(laneKey{p, string(key)})
		}
	}
	d.lane, d.ahead = l, l.last
	if l.last == nil {
		l.first = d
	} else {
		l.last.after = d
	}
	l.last = d
	if l.out == 0 {
		l.out = 1
		return true
	}
	l.putBehind(d)
	return false
}

func (h *handler) newLane(key laneKey) *lane {
	if h.lanes == nil {
		h.lanes = make(map[laneKey]*lane)
	}
	l := &lane{h: h, key: key}
	h.lanes[key] = l
	return l
}

// putBehind notes that a delivery waits for those in front of it.
func (l *lane) putBehind(d *delivery) {
	d.place = behind
	l.behind++
	l.h.behind++
	if !l.slow {
		l.counted++
		l.h.counted++
	}
}

// letOut notes that a delivery does not wait for others any more.
func (l *lane) letOut() {
	l.behind--
	l.h.behind--
	if l.counted > 0 {
		l.counted--
		l.h.counted--
	}
	l.out++
}

// slacken makes a lane slow: what waits in it takes no room in the queue, so
// that the events of other lanes come in.
func (d *delivery) slacken() {
	if l := d.lane; l != nil && !l.slow {
		l.slow = true
		l.h.counted -= l.counted
		l.counted = 0
	}
}

// leaveLane takes a delivery out of its lane. It returns the lane if its next
// delivery is to come out.
func (d *delivery) leaveLane() *lane {
	l := d.lane
	if l == nil {
		return nil
	}
	if d.place == behind {
		l.letOut()
	}
	l.out--
	if d.ahead == nil {
		l.first = d.after
	} else {
		d.ahead.after = d.after
	}
	if d.after == nil {
		l.last = d.ahead
	} else {
		d.after.ahead = d.ahead
	}
	d.lane, d.ahead, d.after = nil, nil, nil
	switch {
	case l.first == nil:
		delete(l.h.lanes, l.key)
		return nil
	case l.first.place != behind:
		return nil
	}
	return l
}

// fallBehind puts a delivery that was out, and is to be tried again, behind
// those in front of it that are, too. It reports false for the first one, and
// for what has no lane. The time until it comes out is given back.
func (s *scheduler) fallBehind(d *delivery) bool {
	l := d.lane
	if l == nil || d.ahead == nil {
		return false
	}
	l.out--
	l.putBehind(d)
	d.giveBack = true
	return true
}

// comeOut lets the first delivery of a lane run. Others of the lane that are out
// have been in a run with it, and are with the prober or the sink, or stuck: to
// wait for them would be to wait for what is behind. The lane stays slow as long
// as they are. The caller starts workers.
func (s *scheduler) comeOut(l *lane) {
	d := l.first
	if d == nil || d.place != behind || d.event.p.phase != owned {
		return
	}
	l.letOut()
	if l.slow && l.out == 1 {
		l.slow = false
		l.counted = l.behind
		l.h.counted += l.counted
	}
	switch {
	case d.event.p.away:
		s.park(d)
	case d.deadline.IsZero():
		l.h.push(d, queued)
	case d.next.IsZero():
		l.h.push(d, due)
	default:
		s.retryAt(d, d.next)
	}
}

// followers adds to a run what follows d in its lane, up to most deliveries in
// all.
func (s *scheduler) followers(ds []*delivery, d *delivery, most int) []*delivery {
	for f := d.after; f != nil && len(ds) < most && f.place == behind && !f.alone && f.next.IsZero(); f = f.after {
		f.lane.letOut()
		ds = append(ds, f)
	}
	return ds
}
