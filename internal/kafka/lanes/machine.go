package lanes

import (
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/twmb/franz-go/pkg/kerr"
)

// machine is what the sender knows and decides, without goroutines, clock,
// network or lock: methods are told what has happened and when, and advance
// says what is to be done. The Sender calls them one at a time.
type machine struct {
	cfg     *Config
	backoff backoff.Schedule
	// random returns a number from 0 to 1, for the backoff's jitter.
	random func() float64

	id Identity
	// byName: the last answer was to a request that named topics by their
	// names, which is what brokers before Kafka 4.0 want. Then ids do not
	// say which log is written to.
	byName bool
	// fenced: the brokers refuse id.
	fenced bool
	// stopping: failures are not reported and nothing is tried again.
	stopping bool

	topics  map[string]*topic
	leaders []*leader
	// flying are the requests without an answer.
	flying []*request
	// waiting has all lanes in that state, and others.
	waiting []*lane
	// watched has all topics with rows that are not placed or with a lookup
	// to come, and others.
	watched []*topic
	// looking: a lookup is under way. ensure are topics to be created.
	looking bool
	ensure  []string

	notices []notice
	stats   Stats
}

// leader is a broker, as far as it is written to.
type leader struct {
	id int32
	// healthy and failing are lanes that are ready, in the order in which
	// they became so. An entry whose lane is not ready any more, or has
	// another leader, means nothing.
	healthy, failing []*lane
	// healthyFlying and failingFlying count requests.
	healthyFlying, failingFlying int
}

// work is what is to be done now, and when to ask again.
type work struct {
	requests []*request
	lookups  []string
	ensure   []string
	// wake is the next time at which something is to be done even if nothing
	// happens until then; zero for never.
	wake time.Time
}

func (w *work) wakeAt(t time.Time) {
	if w.wake.IsZero() || t.Before(w.wake) {
		w.wake = t
	}
}

func newMachine(cfg *Config, random func() float64) *machine {
	return &machine{
		cfg:     cfg,
		backoff: backoff.Schedule{Min: cfg.MinBackoff, Max: cfg.MaxBackoff, Jitter: 0.2},
		random:  random,
		id:      cfg.Identity,
		topics:  make(map[string]*topic),
	}
}

// carryOn decides what a lane does that has just lost the batch in its hand, or
// has gained rows.
func (m *machine) carryOn(now time.Time, l *lane) {
	switch t := l.topic; {
	case l.evicted(), l.hand != nil && l.hand.stray:
		m.evict(l)
	case t.state != open:
		m.note(notice{kind: noticeReturned, rows: l.trim(l.hand != nil && t.busy == 1)})
		if l.hand != nil {
			m.makeReady(now, l)
		}
	case l.pending():
		m.makeReady(now, l)
	default:
		l.state = idle
	}
	m.settleTopic(l.topic)
}

// advance says what is to be done at this moment.
func (m *machine) advance(now time.Time) work {
	var w work
	if m.stopping {
		return w
	}
	m.checkWaiting(now, &w)
	m.checkFlying(now, &w)
	m.checkTopics(now, &w)
	if !m.fenced {
		for _, b := range m.leaders {
			w.requests = m.fill(now, b, w.requests)
		}
	}
	for _, r := range w.requests {
		w.wakeAt(r.sentAt.Add(m.cfg.RequestTimeout))
	}
	return w
}

// eager reports whether advance can find anything to do before the time that it
// has last asked for.
func (m *machine) eager() bool {
	return len(m.waiting) > 0 || len(m.watched) > 0 || len(m.ensure) > 0 ||
		slices.ContainsFunc(m.leaders, func(b *leader) bool { return len(b.healthy) > 0 || len(b.failing) > 0 })
}

// checkWaiting looks at the lanes that wait.
func (m *machine) checkWaiting(now time.Time, w *work) {
	lanes := m.waiting
	m.waiting = m.waiting[:0]
	for _, l := range lanes {
		if l.state == waiting && l.topic.state == open && !m.fenced {
			if at, ok := m.holdAt(l.topic, l.since); ok && !at.After(now) {
				m.hold(l.topic, l, &HeldError{Topic: l.topic.name, Partition: l.partition, Err: l.err})
			} else if ok {
				w.wakeAt(at)
			}
		}
		if l.state == waiting && m.complains(now, l.since, &l.complained, w) {
			m.note(notice{kind: noticeFailing, topic: l.topic.name, partition: l.partition, lasting: now.Sub(l.since), err: l.err})
		}
		if l.state == waiting && l.leader != noLeader {
			if !l.retryAt.After(now) {
				m.makeReady(now, l)
			} else {
				w.wakeAt(l.retryAt)
			}
		}
		if l.listed = l.state == waiting; l.listed {
			m.waiting = append(m.waiting, l)
		}
	}
	clear(lanes[len(m.waiting):])
}

// holdAt returns when a topic is to be held that something is wrong with since
// then; false: not as things are.
func (m *machine) holdAt(t *topic, since time.Time) (time.Time, bool) {
	if m.cfg.Patient {
		if t.missing.IsZero() {
			return time.Time{}, false
		}
		if t.missing.After(since) {
			since = t.missing
		}
	}
	return since.Add(m.cfg.HoldAfter), true
}

// checkFlying looks at the requests that are not answered: the topics of those
// that take too long are held.
func (m *machine) checkFlying(now time.Time, w *work) {
	for _, r := range m.flying {
		if r.stalled {
			continue
		}
		at := r.sentAt.Add(m.cfg.RequestTimeout)
		if at.After(now) {
			w.wakeAt(at)
			continue
		}
		r.stalled = true
		for _, b := range r.batches {
			t := b.lane.topic
			if !m.cfg.Patient {
				m.hold(t, b.lane, &HeldError{Topic: t.name, Partition: b.lane.partition, Reason: "the broker does not answer", Err: kerr.RequestTimedOut})
			}
			m.seek(now, t)
		}
	}
}

// checkTopics looks at the topics that wait for a lookup or need one.
func (m *machine) checkTopics(now time.Time, w *work) {
	topics := m.watched
	m.watched = m.watched[:0]
	for _, t := range topics {
		if t.state == open && len(t.unplaced) > 0 {
			if at, ok := m.holdAt(t, t.since); ok && !at.After(now) {
				err := t.err
				if err == nil {
					err = kerr.UnknownTopicOrPartition
				}
				m.hold(t, nil, &HeldError{Topic: t.name, Partition: -1, Reason: "its partitions are not known", Err: err})
			} else if ok {
				w.wakeAt(at)
			}
		}
		if len(t.unplaced) > 0 && m.complains(now, t.since, &t.complained, w) {
			err := t.err
			if err == nil {
				err = errNotAnswered
			}
			m.note(notice{kind: noticeFailing, topic: t.name, partition: -1, lasting: now.Sub(t.since), err: err})
		}
		if !t.lookupAt.IsZero() && !m.looking {
			if !t.lookupAt.After(now) {
				w.lookups = append(w.lookups, t.name)
				t.lookupAt, t.asked = time.Time{}, true
			} else {
				w.wakeAt(t.lookupAt)
			}
		}
		if t.listed = !t.lookupAt.IsZero() || len(t.unplaced) > 0; t.listed {
			m.watched = append(m.watched, t)
		}
	}
	clear(topics[len(m.watched):])
	m.looking = m.looking || len(w.lookups) > 0
	w.ensure, m.ensure = m.ensure, nil
}

// seek lets the topic be looked up, soon after the last time or, if that has
// failed, after its backoff.
func (m *machine) seek(now time.Time, t *topic) {
	if t.lookupAt.IsZero() {
		t.lookupAt = now
		if soonest := t.lookedUp.Add(m.cfg.MinBackoff); !t.lookedUp.IsZero() && soonest.After(now) {
			t.lookupAt = soonest
		}
	}
	m.watch(t)
}

func (m *machine) watch(t *topic) {
	if !t.listed {
		t.listed = true
		m.watched = append(m.watched, t)
	}
}

// identify continues under another identity.
func (m *machine) identify(now time.Time, id Identity) {
	if id.ProducerID < 0 || id.Epoch < 0 || id.ProducerID == m.id.ProducerID && id.Epoch <= m.id.Epoch {
		return
	}
	m.id, m.fenced = id, false
	for _, t := range m.topics {
		for _, l := range t.lanes {
			l.restart()
			if !l.since.IsZero() {
				l.since = now
			}
		}
	}
	// What is flying has the old identity. Its answer counts if it is yes;
	// otherwise the batch is sealed anew.
}

// land takes a request from those that are flying.
func (m *machine) land(r *request) {
	if i := slices.Index(m.flying, r); i >= 0 {
		m.flying = slices.Delete(m.flying, i, i+1)
	}
	b := m.leader(r.leader)
	if r.failing {
		b.failingFlying--
	} else {
		b.healthyFlying--
	}
}
