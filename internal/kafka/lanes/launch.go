package lanes

import (
	"slices"
	"time"
)

// request is a produce request: one batch of each of its lanes.
type request struct {
	leader  int32
	failing bool
	// batches are ordered by topic and partition.
	batches []*batch
	size    int
	sentAt  time.Time
	// timeout is how long the brokers may take to replicate it.
	timeout time.Duration
	// stalled: its topics were held, since it is not answered.
	stalled bool
}

// retryTimeout bounds the timeout of a request with lanes that have failed
// before. A broker reads the next request of a connection when it has answered
// the last, so whoever waits for its followers makes the healthy lanes wait. A
// short timeout costs the batch nothing: its next attempt is recognised, and
// waits on.
const retryTimeout = time.Second

// fill appends the requests that a leader has room for. Lanes that fail are not
// in a request with others, and there is one such request at a time.
func (m *machine) fill(now time.Time, b *leader, requests []*request) []*request {
	for !m.fenced && b.healthyFlying < m.cfg.MaxInFlight && len(b.healthy) > 0 {
		r := &request{leader: b.id, sentAt: now, timeout: m.cfg.RequestTimeout}
		if b.healthy = m.board(r, b.healthy); len(r.batches) == 0 {
			break
		}
		b.healthyFlying++
		requests = append(requests, m.launch(r))
	}
	for !m.fenced && b.failingFlying < 1 && len(b.failing) > 0 {
		r := &request{leader: b.id, failing: true, sentAt: now, timeout: min(m.cfg.RequestTimeout, retryTimeout)}
		if b.failing = m.board(r, b.failing); len(r.batches) == 0 {
			break
		}
		b.failingFlying++
		requests = append(requests, m.launch(r))
	}
	return requests
}

// board takes the batches of lanes into a request until it is full, and returns
// the lanes that are left.
func (m *machine) board(r *request, lanes []*lane) []*lane {
	for i, l := range lanes {
		if l.state != ready || l.leader != r.leader {
			continue
		}
		b := l.take(min(l.topic.maxBatch(), maxBatchBytes), m.cfg.MaxBatchRecords)
		if len(r.batches) > 0 && r.size+b.size > m.cfg.MaxRequestBytes {
			return append(lanes[:0], lanes[i:]...)
		}
		log := l.topic.id
		if m.byName {
			log = topicID{}
		}
		if !l.seal(m.id, log) {
			m.fence(errSequenceLost)
			return append(lanes[:0], lanes[i:]...)
		}
		b = l.hand
		if l.topic.state != open { // seal has shortened it
			m.note(notice{kind: noticeReturned, rows: l.drain()})
		}
		l.state = flying
		if b.attempts++; b.attempts > 1 {
			m.stats.Retries++
		}
		r.size += b.size
		r.batches = append(r.batches, b)
	}
	clear(lanes)
	return lanes[:0]
}

func (m *machine) launch(r *request) *request {
	slices.SortFunc(r.batches, compareBatches)
	m.flying = append(m.flying, r)
	m.stats.Requests++
	m.stats.Batches += uint64(len(r.batches))
	return r
}
