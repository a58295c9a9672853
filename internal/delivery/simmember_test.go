package delivery

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// simMember is a member: its engine's Source and Committer.
type simMember struct {
	s      *simulation
	name   string
	engine *Engine
	owned  map[kafka.TopicPartition]*simEpoch
	ended  map[kafka.TopicPartition]time.Time
	wake   chan struct{}
}

func (m *simMember) Commit(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error {
	m.checkCounts()
	s := m.s
	s.mu.Lock()
	var slow time.Duration
	failing := false
	if !s.calm {
		slow, failing = time.Duration(s.rnd.IntN(200))*time.Millisecond, s.chance(10)
		if s.chance(3) {
			slow *= 30
		}
	}
	s.mu.Unlock()
	select {
	case <-time.After(slow + 1):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if failing {
		return errTest
	}
	for tp, o := range offsets {
		ep, log := m.owned[tp], s.logs[tp]
		if ep == nil {
			s.fail("%s commits %v, which it does not own", m.name, tp)
			continue
		}
		for _, r := range log.records[min(ep.lowest, len(log.records)):] {
			if r.Offset < o.At && !ep.isDone(r.Offset, tp.Topic) {
				s.fail("%s commits %d of %v, but %d is not done", m.name, o.At, tp, r.Offset)
			}
		}
		if o.At < log.committed || o.At > log.end {
			s.fail("%s commits %d of %v after %d, the end is %d", m.name, o.At, tp, log.committed, log.end)
		}
		log.committed = o.At
	}
	return nil
}

func (m *simMember) Poll(ctx context.Context, maxRecords int) ([]kafka.Fetched, error) {
	for {
		m.s.mu.Lock()
		fetched := m.fetch(maxRecords)
		wake := m.wake
		m.s.mu.Unlock()
		if len(fetched) > 0 {
			return fetched, nil
		}
		select {
		case <-wake:
		case <-time.After(50 * time.Millisecond): // records are produced without a bell
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *simMember) fetch(maxRecords int) (all []kafka.Fetched) {
	for tp, ep := range m.owned {
		log := m.s.logs[tp]
		if ep.over || ep.paused || ep.position >= log.end || maxRecords == 0 {
			continue
		}
		f := kafka.Fetched{TopicPartition: tp, Next: kafka.Offset{At: log.end}}
		for _, r := range log.records[log.at(ep.position):] {
			if len(f.Records) == maxRecords {
				f.Next.At = r.Offset
				break
			}
			f.Records = append(f.Records, r)
		}
		maxRecords -= len(f.Records)
		ep.position = f.Next.At
		all = append(all, f)
	}
	return all
}

func (m *simMember) Pause(tps []kafka.TopicPartition) { m.pause(tps, true) }

func (m *simMember) Resume(tps []kafka.TopicPartition) { m.pause(tps, false) }

func (m *simMember) pause(tps []kafka.TopicPartition, paused bool) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for _, tp := range tps {
		if ep := m.owned[tp]; ep != nil {
			ep.paused = paused
		}
	}
	close(m.wake)
	m.wake = make(chan struct{})
}

// start makes a new engine for the member.
func (m *simMember) start() {
	cfg := Config{
		Group: "billing", Slots: m.s.slots, Decode: decode, Fault: faultOf,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Healthy: func(context.Context) error {
			m.s.mu.Lock()
			defer m.s.mu.Unlock()
			if m.s.away {
				return errAway
			}
			return nil
		},
		Sink:   m.sink,
		Limits: Limits{PressAfter: 2 * time.Second, WindowRecords: simSpan, PollRecords: 60, LowBacklog: 5, Revocation: 3 * time.Second, Shutdown: 3 * time.Second, CommitTimeout: 4 * time.Second},
	}
	for _, h := range simHandlers {
		cfg.Handlers = append(cfg.Handlers, &Handler{
			Name: h.name, Topic: h.topic, WireTopic: kafka.WireTopic(h.topic), OnFailure: h.onFailure,
			Concurrency: h.concurrency, Batch: h.batch, Atomic: h.atomic, Ordering: h.ordering, CopiesMessages: h.copies(), QueueDepth: 7, Backoff: backoff.Schedule{Min: 100 * time.Millisecond, Max: time.Second},
			Run: func(ctx context.Context, ms []*eventmodels.Message) error { return m.handle(ctx, &h, ms) },
		})
	}
	e, err := New(cfg)
	if err != nil {
		m.s.t.Error(err)
		return
	}
	m.engine = e
	e.Start(m, m)
}

// take takes some of the partitions that are free.
func (m *simMember) take(n int) {
	time.Sleep(time.Millisecond) // a poll that is on its way back has arrived
	s := m.s
	s.mu.Lock()
	s.rnd.Shuffle(len(s.free), func(i, j int) { s.free[i], s.free[j] = s.free[j], s.free[i] })
	n = min(n, len(s.free))
	tps := slices.Clone(s.free[:n])
	s.free = s.free[n:]
	for _, tp := range tps {
		from := s.logs[tp].committed
		m.owned[tp] = &simEpoch{start: from, position: from, lowest: s.logs[tp].at(from), over: true, running: map[simKey]bool{}, done: map[simKey]bool{}, given: map[simKey]bool{}, lettered: map[simKey]bool{}}
	}
	s.mu.Unlock()
	m.engine.Assigned(context.Background(), tps)
	s.mu.Lock()
	for _, tp := range tps {
		m.owned[tp].over = false
	}
	s.mu.Unlock()
}

// some picks some of the member's partitions, which are not fetched any more.
func (m *simMember) some(share int) (tps []kafka.TopicPartition) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for tp := range m.owned {
		if m.s.chance(share) {
			tps = append(tps, tp)
		}
	}
	return tps
}

func (m *simMember) disown(tps []kafka.TopicPartition) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for _, tp := range tps {
		delete(m.owned, tp)
		m.ended[tp] = time.Now()
		m.s.free = append(m.s.free, tp)
	}
}

func (m *simMember) revoke(share int) {
	tps := m.some(share)
	m.s.mu.Lock()
	for _, tp := range tps {
		m.owned[tp].position = 1 << 60 // nothing is fetched any more; what runs may end
	}
	m.s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	m.engine.Revoked(ctx, tps)
	m.disown(tps)
}

func (m *simMember) lose() {
	tps := m.some(40)
	m.s.mu.Lock()
	for _, tp := range tps {
		m.owned[tp].over = true
		m.ended[tp] = time.Now()
	}
	m.s.mu.Unlock()
	m.engine.Lost(tps)
	m.disown(tps)
}

// checkCounts is called at many moments, without the simulation's lock.
func (m *simMember) checkCounts() {
	if err := m.engine.checkCounts(); err != nil {
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		m.s.fail("%s: %v", m.name, err)
	}
}

func (m *simMember) restart() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(m.s.dice(5000))*time.Millisecond)
	defer cancel()
	m.engine.Drain(ctx)
	m.revoke(100)
	m.engine.Stop()
	m.start()
}

func (m *simMember) live(until time.Time) {
	for time.Now().Before(until) {
		time.Sleep(time.Duration(m.s.dice(3000)) * time.Millisecond)
		m.checkCounts()
		m.engine.Wake(at("audit", int32(m.s.dice(3))), int64(m.s.dice(500)))
		switch n := m.s.dice(100); {
		case n < 50:
			m.take(1 + m.s.dice(4))
		case n < 80:
			m.revoke(50)
		case n < 90:
			m.lose()
		case n < 95:
			h := simHandlers[m.s.dice(len(simHandlers))]
			m.engine.Pause(h.name)
			time.Sleep(time.Duration(m.s.dice(10_000)) * time.Millisecond)
			if m.s.dice(2) == 0 { // else it stays so
				m.engine.Resume(h.name)
			}
		default:
			m.restart()
		}
	}
}
