package delivery

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
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

// simMember is a member: its engine's Source and Committer.
type simMember struct {
	s      *simulation
	name   string
	engine *Engine
	owned  map[kafka.TopicPartition]*simEpoch
	ended  map[kafka.TopicPartition]time.Time
	wake   chan struct{}
}

// simEpoch is one assignment of a partition.
type simEpoch struct {
	start, position int64
	lowest          int // record that is not done
	paused, over    bool
	running, done   map[simKey]bool
	given           map[simKey]bool // up, which is done, too
	lettered        map[simKey]bool // are to have a letter
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

var simHandlers = []simHandler{
	{name: "a", topic: "orders", onFailure: eventmodels.OnFailureDiscard},
	{name: "b", topic: "orders", onFailure: eventmodels.OnFailureBlock, concurrency: 2},
	{name: "c", topic: "audit", onFailure: eventmodels.OnFailureDiscard, concurrency: 1},
	{name: "d", topic: "audit", onFailure: eventmodels.OnFailureSave, concurrency: 3},
	{name: "g", topic: "audit", onFailure: eventmodels.OnFailureSave, concurrency: 2, batch: 6},
	{name: "e", topic: "mail", onFailure: eventmodels.OnFailureDiscard, concurrency: 2, batch: 5, atomic: true},
	{name: "f", topic: "mail", onFailure: eventmodels.OnFailureBlock, concurrency: 1, batch: 7},
	{name: "h", topic: "mail", onFailure: eventmodels.OnFailureDiscard, ordering: ByKey},
	{name: "i", topic: "calls", onFailure: eventmodels.OnFailureSave, concurrency: 3, batch: 6, ordering: ByKey},
	{name: "j", topic: "calls", onFailure: eventmodels.OnFailureDiscard, concurrency: 2, batch: 5, atomic: true, ordering: ByKey},
	{name: "k", topic: "calls", onFailure: eventmodels.OnFailureBlock, concurrency: 2, batch: 4, ordering: ByPartition},
	{name: "l", topic: "news", onFailure: eventmodels.OnFailureDiscard, ordering: ByPartition},
	{name: "m", topic: "news", onFailure: eventmodels.OnFailureBlock, batch: 7, atomic: true, ordering: ByKey},
}

type simHandler struct {
	name, topic string
	onFailure   eventmodels.OnFailure
	concurrency int
	batch       int
	atomic      bool
	ordering    Ordering
}

// sameLane reports whether two records of a partition are to be in order.
func (h *simHandler) sameLane(a, b *kafka.Record) bool {
	switch h.ordering {
	case ByPartition:
		return true
	case ByKey:
		return a.Key != nil && b.Key != nil && string(a.Key) == string(b.Key)
	}
	return false
}

func handlersOf(topic kafka.WireTopic) (all []string) {
	for _, h := range simHandlers {
		if h.topic == string(topic) {
			all = append(all, h.name)
		}
	}
	return all
}

// handle is every handler.
func (m *simMember) handle(ctx context.Context, h *simHandler, ms []*eventmodels.Message) error {
	s := m.s
	s.mu.Lock()
	engine := simRunning{m.engine, h.name}
	s.running[engine]++
	if n := s.running[engine]; h.concurrency > 0 && n > h.concurrency || len(ms) > max(h.batch, 1) {
		s.fail("%s: %d of %s at a time, and %d events", m.name, n, h.name, len(ms))
	}
	epochs := make([]*simEpoch, len(ms)) // nil: it was on its way when its epoch ended
	for i, msg := range ms {
		epochs[i] = m.begin(h, msg)
		if epochs[i] != nil && h.ordering != Unordered {
			m.checkOrder(epochs[i], h, ms[:i], msg)
		}
	}
	took, deaf := s.took()
	result := s.outcome(h, ms)
	s.mu.Unlock()

	switch {
	case took == 0:
	case deaf:
		time.Sleep(took)
	default:
		select {
		case <-time.After(took):
		case <-ctx.Done():
			result = ctx.Err()
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[engine]--
	failed, all := eventmodels.SplitBatchError(result, len(ms))
	for i, msg := range ms {
		if ep := epochs[i]; ep != nil {
			err := all
			if all == nil {
				err = failed[i]
			}
			own := len(ms) == 1 || all == nil
			undone := h.atomic && len(failed) > 0 && err == nil
			m.end(ep, h, msg, err, own && !undone)
		}
	}
	return result
}

// sink writes letters.
func (m *simMember) sink(ctx context.Context, out []*Outgoing) []error {
	s := m.s
	errs := make([]error, len(out))
	m.checkCounts()
	s.mu.Lock()
	slow, calm := time.Duration(s.rnd.IntN(400))*time.Millisecond, s.calm
	if s.chance(5) {
		slow *= 30
	}
	s.mu.Unlock()
	if !calm {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range out {
		if ctx.Err() != nil || !s.calm && (s.away || s.chance(10)) {
			errs[i] = errAway
			continue
		}
		tp, key := at(o.Record.Topic, o.Record.Partition), simKey{o.Record.Offset, o.Handler.Name}
		s.logs[tp].done[s.logs[tp].at(key.offset)][key.handler] = true
		if ep := m.owned[tp]; ep != nil && ep.lettered[key] { // else it was written for an epoch that has ended
			ep.done[key] = true
		}
	}
	return errs
}

// begin notes that an event is handled. It returns nil if it is not the
// member's any more. The caller has the lock.
func (m *simMember) begin(h *simHandler, msg *eventmodels.Message) *simEpoch {
	s := m.s
	tp, key := at(msg.Topic, msg.Partition), simKey{msg.Offset, h.name}
	ep := m.owned[tp]
	if ep == nil || ep.over {
		if since := m.ended[tp]; time.Since(since) > 0 { // else it was on its way
			s.fail("%s: %v of %v started %v after its epoch", m.name, key, tp, time.Since(since))
		}
		return nil
	}
	if ep.running[key] || ep.done[key] && !ep.given[key] {
		s.fail("%s: %v of %v delivered again", m.name, key, tp)
	}
	ep.running[key] = true
	log := s.logs[tp]
	for ep.isDone(log.records[ep.lowest].Offset, tp.Topic) {
		ep.lowest++
	}
	if here := log.at(msg.Offset); here >= ep.lowest+simSpan {
		s.fail("%s: record %d of %v is delivered while %d is not done", m.name, here, tp, ep.lowest)
	}
	return ep
}

// checkOrder fails if something in front of an event in its lane is neither done
// nor in front of it in the batch. The caller has the lock.
func (m *simMember) checkOrder(ep *simEpoch, h *simHandler, before []*eventmodels.Message, msg *eventmodels.Message) {
	tp := at(msg.Topic, msg.Partition)
	log := m.s.logs[tp]
	here := log.at(msg.Offset)
	for i := here - 1; i >= ep.lowest && log.records[i].Offset >= ep.start; i-- {
		offset := log.records[i].Offset
		if !h.sameLane(log.records[i], log.records[here]) || ep.done[simKey{offset, h.name}] {
			continue
		}
		if !slices.ContainsFunc(before, func(b *eventmodels.Message) bool { return b.Partition == msg.Partition && b.Offset == offset }) {
			m.s.fail("%s: %s gets %d of %v before %d", m.name, h.name, msg.Offset, tp, offset)
		}
	}
}

// end notes what has become of an event; own says that err is about it. The
// caller has the lock.
func (m *simMember) end(ep *simEpoch, h *simHandler, msg *eventmodels.Message, err error, own bool) {
	tp, key := at(msg.Topic, msg.Partition), simKey{msg.Offset, h.name}
	delete(ep.running, key)
	gaveUp := eventmodels.GetErrorHandling(err) == eventmodels.DoNotRetry
	if !own || err != nil && !gaveUp {
		return
	}
	if gaveUp && h.onFailure == eventmodels.OnFailureSave {
		ep.lettered[key] = true
		return
	}
	ep.done[key] = true
	ep.given[key] = gaveUp // unless the servers turn out to be away
	log := m.s.logs[tp]
	log.done[log.at(msg.Offset)][h.name] = true
}

// took says how long a call takes, and whether it hears its context. The
// caller has the lock.
func (s *simulation) took() (took time.Duration, deaf bool) {
	switch {
	case s.calm || s.chance(30):
		return 0, false
	case s.chance(1):
		return time.Duration(s.rnd.IntN(20)) * time.Second, true
	}
	return time.Duration(s.rnd.IntN(300)) * time.Millisecond, false
}

// outcome says how a call ends. The caller has the lock.
func (s *simulation) outcome(h *simHandler, ms []*eventmodels.Message) error {
	if s.calm {
		return nil
	}
	if len(ms) == 1 || s.chance(50) {
		return s.failure(h, ms[0].Attempt)
	}
	var failed eventmodels.BatchError
	for i, msg := range ms {
		failed.Fail(i, s.failure(h, msg.Attempt))
	}
	return failed.Err()
}

func (s *simulation) failure(h *simHandler, attempt int) error {
	switch {
	case s.away:
		return errAway
	case s.chance(5):
		return errConflict
	case s.chance(10) && h.name == "d":
		return NotBefore(time.Now().Add(time.Duration(s.rnd.IntN(5000)) * time.Millisecond))
	case s.chance(10) && attempt < 4:
		return errTest
	case s.chance(3) && h.onFailure != eventmodels.OnFailureBlock: // that would block for good
		return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
	}
	return nil
}

func (ep *simEpoch) isDone(offset int64, topic kafka.WireTopic) bool {
	for _, h := range handlersOf(topic) {
		if !ep.done[simKey{offset, h}] {
			return false
		}
	}
	return true
}

func (l *simLog) at(offset int64) int {
	i, _ := slices.BinarySearchFunc(l.records, offset, func(r *kafka.Record, o int64) int { return int(r.Offset - o) })
	return i
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

func (m *simMember) Pause(tps []kafka.TopicPartition)  { m.pause(tps, true) }
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
			Concurrency: h.concurrency, Batch: h.batch, Atomic: h.atomic, Ordering: h.ordering, QueueDepth: 7, Backoff: backoff.Schedule{Min: 100 * time.Millisecond, Max: time.Second},
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
		logs: map[kafka.TopicPartition]*simLog{}, running: map[simRunning]int{},
	}
	for p := range int32(3) {
		for _, topic := range []string{"orders", "audit", "mail", "calls", "news"} {
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
