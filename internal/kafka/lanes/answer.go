package lanes

import (
	"errors"
	"time"
)

// corruptAttempts is how often a batch is sent that the broker says has not
// arrived as it was sent, before it is taken for wrong.
const corruptAttempts = 3

// answer is what became of a batch.
type answer struct {
	verdict
	// err is the broker's error, or why there is no answer; nil if acked.
	err    error
	reason string
	// bad are the records that the broker complains about, if it says so.
	bad []int32
	// hint is the partition's leader, if the broker knows a later one.
	hint partitionInfo
	// answered: it is an answer, and named says whether the request has named
	// the topic by its id.
	answered, named bool
	// gone: the batch was for a topic that was deleted and created again
	// since. A held topic is well then, as far as anybody knows.
	gone bool
	// offset is that of the batch's first record, if it is acknowledged and
	// the broker says so; else -1.
	offset int64
	// size is the size of the batch as it was sent, limit what the topic
	// allows, if it was asked again; else 0.
	size, limit int
}

// answered takes the answers to a request, one for each of its batches, in
// their order.
func (m *machine) answered(now time.Time, r *request, answers []answer) {
	m.land(r)
	for i, b := range r.batches {
		m.settle(now, b, answers[i])
	}
}

// settle decides what is done about the answer to a batch.
func (m *machine) settle(now time.Time, b *batch, a answer) {
	l, t := b.lane, b.lane.topic
	if a.answered {
		m.byName = !a.named
	}
	if a.limit > 0 {
		t.setLimit(a.limit)
	}
	b.uncertain = b.uncertain || a.uncertain
	switch a.outcome {
	case duplicate:
		// Without an earlier attempt, somebody else has used these numbers.
		if a.outcome = fenced; b.attempts > 1 {
			a.outcome = acked
		}
	case corrupt:
		if a.outcome = refused; b.corrupt+1 < corruptAttempts {
			b.corrupt++
			a.outcome = retry
		}
	}

	if a.outcome == acked {
		m.note(notice{kind: noticeAcked, rows: b.rows, partition: l.partition, offset: a.offset})
		l.acked(m.id)
		if !l.complained.IsZero() {
			m.note(notice{kind: noticeWell, topic: t.name, partition: l.partition})
		}
		l.release()
		l.recovered()
		m.carryOn(now, l)
		return
	}
	if m.stopping {
		l.state = idle
		return
	}
	if a.gone = t.replaced(b.sealed.topic); a.gone {
		l.forsake()
	}
	if b.stray && a.outcome != fenced { // that is about the identity, too
		m.evict(l)
		return
	}
	switch a.outcome {
	case tooLarge, refused:
		if len(b.rows) == 1 {
			m.note(notice{kind: noticeRefused, rows: b.rows, err: refusal(b, a)})
		} else {
			if a.outcome == tooLarge && len(a.bad) == 0 {
				t.cutoff = max(b.size/2, minCutoff)
			}
			l.parts = append(split(b.rows, a.bad), l.parts...)
		}
		// It has used no sequence number: the next takes its place. If an
		// earlier attempt was written, and the topic's configuration, or the
		// time, has made it wrong since, it has.
		l.forsake()
		l.release()
		l.recovered()
		m.carryOn(now, l)
	case fenced:
		if b.sealed.id == m.id {
			m.fence(a.err)
		}
		m.carryOn(now, l)
	default:
		m.failed(now, l, a)
	}
}

// errSequenceLost is why the sender gives up an identity by itself.
var errSequenceLost = errors.New("a batch whose outcome is not known was given up, and with it the sequence of its partition")

// fence stops everything until there is another identity.
func (m *machine) fence(err error) {
	if !m.fenced {
		m.fenced = true
		m.note(notice{kind: noticeFenced, id: m.id, err: err})
	}
}

// minCutoff is what a batch may measure in any case.
const minCutoff = 16 << 10

// refusal is the error of a row that is refused.
func refusal(b *batch, a answer) error {
	t := b.lane.topic
	if a.outcome == tooLarge {
		return &TooLargeError{Topic: t.name, Partition: b.lane.partition, Size: a.size, Limit: t.limit, Err: a.err}
	}
	return &RefusedError{Topic: t.name, Partition: b.lane.partition, Reason: a.reason, Err: a.err}
}

// failed lets a lane wait for its next attempt.
func (m *machine) failed(now time.Time, l *lane, a answer) {
	t := l.topic
	if l.evicted() {
		m.evict(l)
		return
	}
	l.failed(now, a.err, a.seek)
	l.retryAt = now.Add(m.backoff.Delay(l.failures, m.random()))
	if a.outcome == hold {
		l.state = waiting
		m.hold(t, l, &HeldError{Topic: t.name, Partition: -1, Reason: a.reason, Err: a.err})
		if m.cfg.Patient {
			return // the lane is empty
		}
	}
	if t.state != open {
		m.note(notice{kind: noticeReturned, rows: l.trim(t.busy == 1 && !a.gone)})
		if l.hand == nil {
			m.settleTopic(t)
			return
		}
	}
	m.wait(l)
	if !a.seek {
		return
	}
	if a.hint.leader != noLeader && a.hint.leaderEpoch > l.leaderEpoch {
		l.leader, l.leaderEpoch = a.hint.leader, a.hint.leaderEpoch
		if l.failures == 1 {
			m.makeReady(now, l)
		}
		return
	}
	m.seek(now, t)
}
