package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// The simulation: members of a group (engines) take partitions from each other,
// lose them, restart, while their handlers succeed, fail, hang and find their
// servers away, and commits are slow or fail. It asserts, at each call of a
// handler and each commit:
//
//   - an offset is committed only by the owner, and never past an event that
//     is not done, in this epoch, by every handler;
//   - an event that has failed for good with OnFailureSave is not done before
//     its letter is written, which fails, too, or is late;
//   - in an epoch no event that is done is delivered again, and none is
//     delivered twice at a time;
//   - a handler's messages are those of its run while it runs, and what it may
//     keep stays so;
//   - the window's span and the handlers' concurrency hold;
//   - what the scheduler counts is what there is (see checkCounts);
//
// and at the end that every event was done by every handler, and is committed.
type simulation struct {
	t     *testing.T
	slots *Slots

	mu       sync.Mutex
	rnd      *rand.Rand
	logs     map[kafka.TopicPartition]*simLog
	free     []kafka.TopicPartition // owned by nobody
	running  map[simRunning]int
	kept     map[string]simKept // by handler
	away     bool
	calm     bool // no more faults
	problems int
}

type simRunning struct {
	engine  *Engine
	handler string
}

type simKey struct {
	offset  int64
	handler string
}

type simLog struct {
	records   []*kafka.Record
	end       int64
	committed int64
	done      []map[string]bool // by record and handler, in any epoch
}

const simSpan = 40

func (s *simulation) fail(format string, args ...any) {
	if s.problems++; s.problems < 10 {
		s.t.Errorf(format, args...)
	}
}

// chance is true in n of 100 cases. The caller has the lock.
func (s *simulation) chance(n int) bool { return s.rnd.IntN(100) < n }

func (s *simulation) dice(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rnd.IntN(n)
}

func (l *simLog) at(offset int64) int {
	i, _ := slices.BinarySearchFunc(l.records, offset, func(r *kafka.Record, o int64) int { return int(r.Offset - o) })
	return i
}

func (s *simulation) produce(until time.Time) {
	for time.Now().Before(until) {
		time.Sleep(200 * time.Millisecond)
		s.mu.Lock()
		for tp, log := range s.logs {
			for range s.rnd.IntN(4) {
				r := &kafka.Record{Topic: string(tp.Topic), Partition: tp.Partition, Offset: log.end}
				if n := s.rnd.IntN(6); n > 0 { // else it has no key
					r.Key = []byte("aabc"[:n-1])
				}
				log.records = append(log.records, r)
				log.done = append(log.done, map[string]bool{})
				log.end++
			}
			if s.chance(20) {
				log.end++ // a control record
			}
		}
		if s.chance(3) {
			s.away = !s.away
		}
		s.mu.Unlock()
	}
}

func TestSimulation(t *testing.T) {
	first, runs := uint64(1), uint64(10)
	if testing.Short() {
		runs = 3
	}
	if n, err := strconv.ParseUint(os.Getenv("DELIVERY_SEED"), 10, 64); err == nil {
		first, runs = n, 1
	}
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	s := &simulation{
		t: t, slots: NewSlots(8), rnd: rand.New(rand.NewPCG(seed, 0)),
		logs: map[kafka.TopicPartition]*simLog{}, running: map[simRunning]int{}, kept: map[string]simKept{},
	}
	for p := range int32(3) {
		for _, topic := range []string{"orders", "audit", "mail", "calls", "news", "bills", "stock"} {
			s.logs[at(topic, p)] = &simLog{}
			s.free = append(s.free, at(topic, p))
		}
	}
	var members []*simMember
	var wait sync.WaitGroup
	until := time.Now().Add(time.Minute)
	for _, name := range []string{"one", "two"} {
		m := &simMember{s: s, name: name, owned: map[kafka.TopicPartition]*simEpoch{}, ended: map[kafka.TopicPartition]time.Time{}, wake: make(chan struct{})}
		members = append(members, m)
		m.start()
		wait.Go(func() { m.live(until) })
	}
	wait.Go(func() { s.produce(until) })
	wait.Wait()

	s.mu.Lock()
	s.calm, s.away = true, false
	s.mu.Unlock()
	members[0].take(len(s.logs))
	for _, m := range members {
		for _, h := range simHandlers {
			m.engine.Resume(h.name)
		}
	}
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	for _, m := range members {
		m.checkCounts()
		if left := m.engine.Drain(context.Background()); len(left) > 0 {
			t.Errorf("%s abandoned %v", m.name, left)
		}
		if n := m.engine.s.underway; n != 0 {
			t.Errorf("%s: %d deliveries are underway to the sink", m.name, n)
		}
		m.engine.Stop()
	}
	for tp, log := range s.logs {
		for i, done := range log.done {
			for _, h := range handlersOf(tp.Topic) {
				if !done[h] {
					s.fail("%s was never done with %d of %v", h, log.records[i].Offset, tp)
				}
			}
		}
		if log.committed != log.end {
			s.fail("%v is committed up to %d of %d", tp, log.committed, log.end)
		}
	}
	for _, m := range members {
		for _, h := range m.engine.s.handlers {
			if len(h.lanes) > 0 || h.behind != 0 || h.counted != 0 {
				s.fail("%s: %s has %d lanes with %d behind, %d counted", m.name, h.Name, len(h.lanes), h.behind, h.counted)
			}
		}
	}
	for _, m := range members {
		for _, h := range m.engine.s.handlers {
			if h.seat.taken != 0 || h.workers != 0 || h.ready() != 0 {
				s.fail("%s: %s has %d slots, %d workers, %d deliveries that can run", m.name, h.Name, h.seat.taken, h.workers, h.ready())
			}
		}
		if sch := m.engine.s; len(sch.groups)+sch.retries.len()+len(sch.outbound)+len(sch.asked) > 0 {
			s.fail("%s: %d groups, %d retries, %d letters, %d questions are left", m.name, len(sch.groups), sch.retries.len(), len(sch.outbound), len(sch.asked))
		}
	}
	if n := s.slots.used; n != 0 {
		t.Errorf("%d shared slots are still taken", n)
	}
	if s.problems > 0 {
		t.Logf("DELIVERY_SEED=%d", seed)
	}
}
