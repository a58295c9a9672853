package lanes

import (
	"slices"
	"time"
)

// topicState says whether rows of a topic are sent.
type topicState uint8

const (
	// open: they are.
	open topicState = iota
	// held: they are returned, except for what finds out when the topic is
	// well again.
	held
	// cleared: they are returned, although the topic is well, until Resume.
	cleared
)

func (s topicState) String() string { return [...]string{"open", "held", "cleared"}[s] }

// topic is what is known of a topic, and its lanes. It is never forgotten,
// since the lanes' sequence numbers must not be.
type topic struct {
	name  string
	state topicState
	// id is the present topic of that name, zero if the brokers do not know
	// topics by their ids.
	id topicID

	// partitions is their number, 0 until it is known. lanes are by number;
	// there are more if the topic had more before.
	partitions int
	lanes      []*lane
	// busy is how many lanes have a batch in hand.
	busy int
	// sticky is the partition for rows without key, until more than
	// stickyTaken batches were taken from its queue.
	sticky      int
	stickyTaken uint64
	// unplaced are rows that wait for the partitions to be known, the first
	// of them since then.
	unplaced []addressed
	since    time.Time
	// complained is when it was last said that they wait; zero: not at all.
	complained time.Time
	// missing is since when every lookup has said that the topic does not
	// exist; zero if the last one has not.
	missing time.Time

	// limit is max.message.bytes. cutoff is less, if a batch below the limit
	// was too large, until the limit changes.
	limit, cutoff int

	// lookupAt is when to look it up next, zero for not at all; asked says
	// that it is being looked up. tries are the lookups since one went well,
	// lookedUp is when that was. err is the last failure.
	lookupAt time.Time
	lookedUp time.Time
	asked    bool
	tries    int
	err      error
	// ensuring: EnsureTopic is running.
	ensuring bool
	// listed: it is in the machine's list of topics to look at.
	listed bool
}

// addressed is a row and the partition that it is meant for: byKey, or the one
// that its source wants.
type addressed struct {
	*row
	partition int32
}

// byKey is the partition of rows whose keys choose it.
const byKey int32 = -1

// partitionInfo is a partition as metadata describes it.
type partitionInfo struct {
	leader, leaderEpoch int32
}

// topicInfo is a topic as metadata describes it.
type topicInfo struct {
	id         topicID
	partitions []partitionInfo
	// limit is max.message.bytes, 0 if it is not known.
	limit int
}

// replaced reports whether id is the topic's no more.
func (t *topic) replaced(id topicID) bool {
	return id != (topicID{}) && t.id != (topicID{}) && id != t.id
}

// maxBatch is what a batch may measure.
func (t *topic) maxBatch() int {
	if t.cutoff > 0 {
		return min(t.cutoff, t.limit)
	}
	return t.limit
}

// setLimit notes max.message.bytes.
func (t *topic) setLimit(limit int) {
	if limit < 1 {
		limit = defaultMaxMessageBytes
	}
	if limit != t.limit {
		t.limit, t.cutoff = limit, 0
	}
}

// stickyBytes is how much is queued for a partition before rows without key go
// to the next.
const stickyBytes = 64 << 10

// laneFor returns the lane for a row. The partitions are known, and the one that
// is wanted is among them.
func (t *topic) laneFor(r addressed) *lane {
	if r.partition != byKey {
		return t.lanes[r.partition]
	}
	if r.Key != nil {
		return t.lanes[partitionOf(r.Key, t.partitions)]
	}
	if t.sticky < t.partitions {
		l := t.lanes[t.sticky]
		if l.leader != noLeader && l.failures == 0 && l.taken == t.stickyTaken && l.queued < stickyBytes {
			return l
		}
	}
	t.sticky = t.nextSticky()
	l := t.lanes[t.sticky]
	t.stickyTaken = l.taken
	return l
}

// nextSticky returns the partition after the sticky one that suits rows without
// key best: an idle one, else the one with the shortest queue, and one without
// leader, or that fails, only if all are.
func (t *topic) nextSticky() int {
	best, bestCost := 0, -1
	for i := 1; i <= t.partitions; i++ {
		at := (t.sticky + i) % t.partitions
		l := t.lanes[at]
		cost := l.queued
		if l.leader == noLeader || l.failures > 0 {
			cost += 1 << 40
		} else if l.state == idle {
			return at
		}
		if bestCost < 0 || cost < bestCost {
			best, bestCost = at, cost
		}
	}
	return best
}

// adopt takes over what metadata says. It reports whether the topic is another
// than before.
func (t *topic) adopt(info topicInfo) (again bool) {
	again = t.replaced(info.id)
	t.id = info.id
	if again {
		for _, l := range t.lanes {
			l.leader, l.leaderEpoch = noLeader, -1 // epochs count anew
			if l.hand != nil && l.state != flying && t.replaced(l.hand.sealed.topic) {
				l.forsake() // what was written is gone with the log
			}
		}
	}
	for i, p := range info.partitions {
		if i == len(t.lanes) {
			t.lanes = append(t.lanes, &lane{topic: t, partition: int32(i), leader: noLeader, leaderEpoch: -1})
		}
		l := t.lanes[i]
		if p.leaderEpoch < l.leaderEpoch && p.leaderEpoch >= 0 && t.id != (topicID{}) {
			continue // a broker that lags behind
		}
		l.leader, l.leaderEpoch = p.leader, p.leaderEpoch
	}
	// Partitions are never taken away from a topic, but brokers without
	// topic ids cannot say that it is another.
	if n := len(info.partitions); n > t.partitions || again || t.id == (topicID{}) {
		t.partitions = n
	}
	return again
}

// wanted reports whether anything depends on the next lookup.
func (t *topic) wanted() bool {
	return len(t.unplaced) > 0 || t.state == held || slices.ContainsFunc(t.lanes, (*lane).pending)
}

// unplace takes away the rows that wait for the partitions to be known.
func (t *topic) unplace() []*row {
	var rows []*row
	for _, u := range t.unplaced {
		rows = append(rows, u.row)
	}
	t.unplaced = nil
	return rows
}
