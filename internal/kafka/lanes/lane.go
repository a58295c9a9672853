package lanes

import (
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// laneState says what a lane is waiting for.
type laneState uint8

const (
	// idle: for rows.
	idle laneState = iota
	// ready: for a place in a request to its leader; it is in the leader's
	// list.
	ready
	// flying: for the answer to a request.
	flying
	// waiting: for the time of its next attempt, or for a leader.
	waiting
)

func (s laneState) String() string { return [...]string{"idle", "ready", "flying", "waiting"}[s] }

// noLeader is the leader of a partition that has none, or whose is not known.
const noLeader int32 = -1

// lane is the queue of a partition. Its rows are in three places, in this
// order: the batch in its hand, of which there is at most one and which is the
// only one that brokers may know of; the parts of a batch that was refused as a
// whole; the queue.
type lane struct {
	topic     *topic
	partition int32

	leader, leaderEpoch int32

	state laneState
	hand  *batch
	parts [][]*row
	queue []*row
	// queued is roughly the size of the queue, taken how many batches were
	// taken from it.
	queued int
	taken  uint64

	position
	// past are positions in other logs, of topics that this one was before,
	// or, if a broker lags behind, will be again.
	past []position

	// failures since something last went well, the first of them at since,
	// the last with err. The next attempt is at retryAt.
	failures int
	since    time.Time
	retryAt  time.Time
	err      error
	// complained is when it was last said that it fails; zero: not at all.
	complained time.Time
	// seeking: the last failure put the leader into question, so that a new
	// one is a reason not to wait for retryAt.
	seeking bool
	// listed: it is in the machine's list of waiting lanes.
	listed bool
}

// position is how far a lane has come in a log.
type position struct {
	// log is the topic's id, zero if it is not known.
	log topicID
	// seq is the sequence number of the next record that is not known to be
	// written. It moves only when a batch is acknowledged, so that the
	// numbers have no holes, whatever becomes of a batch.
	seq int32
	// below, if it is not 0, is a number of records that the next batch must
	// stay below. A batch of so many, from seq on, may have been written and
	// was then given up. If it was, brokers refuse the next one for its
	// sequence, and another identity helps; but one with as many records
	// they would take for a repetition, say yes, and drop it.
	below int
}

// evicted reports whether the partition is gone: the topic was created again
// without it.
func (l *lane) evicted() bool { return int(l.partition) >= l.topic.partitions }

// push appends a row.
func (l *lane) push(r *row) {
	l.queue = append(l.queue, r)
	l.queued += len(r.Key) + len(r.Payload) + len(r.Headers)
}

// pending reports whether the lane has anything to send.
func (l *lane) pending() bool { return l.hand != nil || len(l.parts) > 0 || len(l.queue) > 0 }

// take returns the batch in hand, after forming it if there is none.
func (l *lane) take(maxBytes, maxRecords int) *batch {
	if l.hand == nil {
		if len(l.parts) > 0 {
			rows := l.parts[0]
			l.parts = l.parts[1:]
			l.grab(rows, sizeOfBatch(rows))
		} else {
			n, size := fit(l.queue, maxBytes, maxRecords)
			rows := l.queue[:n:n]
			l.queue = l.queue[n:]
			if len(l.queue) == 0 {
				l.queue, l.queued = nil, 0 // the array belongs to the batch
			} else {
				l.queued = max(0, l.queued-size)
			}
			l.taken++
			l.grab(rows, size)
		}
	}
	return l.hand
}

// grab puts rows into the hand, which is empty.
func (l *lane) grab(rows []*row, size int) {
	l.hand = &batch{lane: l, rows: rows, size: size}
	l.topic.busy++
}

// release empties the hand, which is not empty.
func (l *lane) release() {
	l.hand.encoded.free()
	l.hand = nil
	l.topic.busy--
}

// drain empties the parts and the queue, and returns what was in them.
func (l *lane) drain() []*row {
	rows := l.queue
	if len(l.parts) > 0 {
		rows = nil
		for _, part := range l.parts {
			rows = append(rows, part...)
		}
		rows = append(rows, l.queue...)
	}
	l.parts, l.queue, l.queued = nil, nil, 0
	return rows
}

// abandon empties the lane, which is not flying, and returns what was in it, also
// what may have been written.
func (l *lane) abandon() []*row {
	var rows []*row
	if l.hand != nil {
		rows = l.hand.rows[:len(l.hand.rows):len(l.hand.rows)]
		l.forsake()
		l.release()
	}
	l.state = idle
	l.recovered()
	return append(rows, l.drain()...)
}

// enter makes the position that in another log.
func (l *lane) enter(log topicID) {
	unknown := topicID{}
	switch {
	case log == l.log:
	case log == unknown, l.log == unknown && (l.seq != 0 || l.below != 0):
		// The brokers have begun to know topics by their ids, or have
		// ceased to. It is the same log, or takes any number.
		l.log = log
	default:
		if l.log != unknown {
			l.past = append(l.past, l.position)
		}
		at := slices.IndexFunc(l.past, func(p position) bool { return p.log == log })
		if at < 0 {
			l.position = position{log: log}
			return
		}
		l.position = l.past[at]
		l.past = slices.Delete(l.past, at, at+1)
	}
}

// forsake gives up the batch in hand as it is. If it may have been written, its
// sequence numbers are used up, or not; see position.below.
func (l *lane) forsake() {
	if b := l.hand; b.uncertain {
		b.uncertain = false
		if n := len(b.rows); l.below == 0 || n < l.below {
			l.below = n
		}
	}
}

// seal fixes the bytes of the batch in hand. If what they depend on has changed
// since they were sent, they are made anew. log is the topic's id, zero if it is
// to be named by its name. seal may shorten the batch, and reports false if there
// is no sequence number for it at all.
func (l *lane) seal(id Identity, log topicID) bool {
	l.enter(log)
	b := l.hand
	if l.below > 0 && len(b.rows) >= l.below {
		if l.below == 1 {
			return false
		}
		rows := b.rows
		l.parts = slices.Insert(l.parts, 0, rows[l.below-1:])
		l.release()
		l.grab(rows[:l.below-1:l.below-1], sizeOfBatch(rows[:l.below-1]))
		b = l.hand
	}
	now := seal{id: id, topic: log, seq: l.seq}
	if b.sealed == now {
		return true
	}
	if b.sealed.id != id || l.topic.replaced(b.sealed.topic) {
		b.uncertain, b.attempts, b.corrupt = false, 0, 0
	}
	b.encoded.free()
	b.encoded, b.sealed = nil, now
	return true
}

// acked moves the sequence on. Batches of an earlier identity do not count.
func (l *lane) acked(id Identity) {
	if b := l.hand; b.sealed.id == id {
		l.below = 0
		l.seq = recordbatch.NextSequence(b.sealed.seq, len(b.rows))
	}
}

// restart begins with sequence numbers from 0.
func (l *lane) restart() { l.position, l.past = position{}, nil }

// failed notes a failure.
func (l *lane) failed(now time.Time, err error, seek bool) {
	l.failures++
	if l.since.IsZero() {
		l.since = now
	}
	l.err, l.seeking = err, seek
}

// recovered forgets the failures.
func (l *lane) recovered() {
	l.failures, l.since, l.retryAt, l.err, l.seeking = 0, time.Time{}, time.Time{}, nil, false
	l.complained = time.Time{}
}

// trim takes away what the lane must not have while its topic is held, and
// returns it: all but the batch in hand. That stays if it may have been
// written; otherwise only its first row does, and only with keep, to find out
// when the topic is well again. The lane is not flying.
func (l *lane) trim(keep bool) []*row {
	rows := l.drain()
	switch b := l.hand; {
	case b == nil && keep && len(rows) > 0:
		l.grab(rows[:1:1], sizeOfBatch(rows[:1]))
		rows = rows[1:]
	case b == nil || b.uncertain:
	case keep:
		rest := b.rows[1:]
		if len(rest) > 0 {
			l.release()
			l.grab(b.rows[:1:1], sizeOfBatch(b.rows[:1]))
		}
		rows = append(rest[:len(rest):len(rest)], rows...)
	default:
		l.release()
		rows = append(b.rows[:len(b.rows):len(b.rows)], rows...)
	}
	if l.hand == nil {
		l.state = idle
		l.recovered()
	}
	return rows
}
