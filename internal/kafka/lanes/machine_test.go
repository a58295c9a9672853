package lanes

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

var rounds = flag.Int("lanes.rounds", 300, "how many random histories TestRandomHistories goes through")

// TestRandomHistories drives the machine against the model through histories of
// faults that are drawn at random, and checks what must hold in each:
//
//   - every row that is sent is reported once;
//   - an acknowledged row is stored; none is stored twice under one identity in
//     one log; the reports of a lane are in the order of its log;
//   - the rows of a key are first stored in their order (unless the topic has
//     gained partitions);
//   - only rows that brokers refuse are refused;
//   - the machine never breaks a sequence by itself;
//   - once everything is well again, everything is sent.
func TestRandomHistories(t *testing.T) {
	for i := range *rounds {
		seed := uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newHistory(t, seed).run() })
	}
}

func FuzzHistories(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { newHistory(t, seed).run() })
}

// history is a run of the machine with a relay and a cluster around it.
type history struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	m       *machine
	cluster *modelCluster
	calm    bool
	growing bool

	// rows is the outbox, by topic. cursor is where the relay reads.
	rows   map[string][]*modelRow
	byRow  map[*row]*modelRow
	cursor map[string]int
	seq    int64
	acked  map[string][]written // by topic id and partition

	requests []*carried
	lost     []*carried // may still reach their broker
	lookups  []string
	stale    map[string]*topicInfo
	ensure   []string
	fences   int
	epoch    int16 // the largest that anybody has
	down     map[int32]bool
	haunted  bool
}

type modelRow struct {
	*row
	state rowState
}

type rowState uint8

const (
	inOutbox rowState = iota
	inMachine
	done
	parked
)

type carried struct {
	r       *request
	batches []sent
	answers []answer // nil: not at the broker yet
}

const modelBrokers = 3

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, rnd: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_000_000, 0),
		rows: make(map[string][]*modelRow), byRow: make(map[*row]*modelRow), cursor: make(map[string]int), acked: make(map[string][]written),
		stale: make(map[string]*topicInfo), down: make(map[int32]bool),
	}
	h.growing = seed%4 == 3
	h.epoch = 1
	h.cluster = &modelCluster{rnd: h.rnd, byID: seed%3 != 0, topics: make(map[string]*modelTopic)}
	cfg := Config{Identity: Identity{ProducerID: 1, Epoch: 1}, MaxInFlight: 1 + h.rnd.IntN(3), MaxBatchRecords: 1 + h.rnd.IntN(20)}.withDefaults()
	if seed%2 == 0 {
		cfg.EnsureTopic = nil
	} else {
		cfg.EnsureTopic = func(context.Context, string) error { return nil } // the history does it
	}
	if h.rnd.IntN(3) == 0 {
		cfg.MaxRequestBytes = 200
	}
	h.m = newMachine(&cfg, h.rnd.Float64)
	for _, name := range []string{"a", "b", "c"} {
		if h.rnd.IntN(4) > 0 {
			h.cluster.create(name, h.partitions(name), modelBrokers)
		}
	}
	return h
}

// partitions is how many a topic is created with: always the same, unless
// topics grow in this history.
func (h *history) partitions(name string) int {
	if h.growing {
		return 1 + h.rnd.IntN(4)
	}
	return int(name[0]-'a') + 1
}

func (h *history) run() {
	for range 400 {
		h.step()
		h.check()
	}
	h.heal()
	for i := 0; !h.finished(); i++ {
		if i > 20_000 {
			h.t.Fatalf("not finished: %s", h.state())
		}
		h.step()
		h.check()
	}
	if h.m.stats.Rows != 0 {
		h.t.Fatalf("%d rows are left in the count: %s", h.m.stats.Rows, h.state())
	}
	h.checkLogs()
}

// step does one thing, and then what the machine wants done.
func (h *history) step() {
	switch h.rnd.IntN(10) {
	case 0, 1:
		h.send()
	case 2, 3, 4:
		h.carry()
	case 5:
		h.lookup()
	case 6:
		h.create()
	case 7:
		h.now = h.now.Add(time.Duration(h.rnd.ExpFloat64() * float64(300*time.Millisecond)))
	default:
		if !h.calm && h.rnd.IntN(4) == 0 {
			h.trouble()
		} else {
			h.carry()
		}
	}
	w := h.m.advance(h.now)
	for _, r := range w.requests {
		h.requests = append(h.requests, &carried{r: r, batches: snapshot(r)})
	}
	h.lookups = append(h.lookups, w.lookups...)
	h.ensure = append(h.ensure, w.ensure...)
	h.relay()
	if h.calm && len(h.requests)+len(h.lookups)+len(h.ensure) == 0 && !w.wake.IsZero() && w.wake.After(h.now) {
		h.now = w.wake // nothing happens until then
	}
}

// send writes rows into the outbox and lets the relay send some.
func (h *history) send() {
	name := []string{"a", "b", "c"}[h.rnd.IntN(3)]
	if !h.calm {
		for range 1 + h.rnd.IntN(8) {
			h.seq++
			r := &row{Seq: h.seq, Topic: name, Payload: []byte("payload")}
			if h.rnd.IntN(5) > 0 {
				r.Key = []byte{byte('a' + h.rnd.IntN(6))}
			}
			if h.rnd.IntN(60) == 0 {
				r.Payload = nil
			}
			mr := &modelRow{row: r}
			h.rows[name] = append(h.rows[name], mr)
			h.byRow[r] = mr
		}
	}
	var rows []*row
	outbox := h.rows[name]
	for n := 1 + h.rnd.IntN(12); n > 0 && h.cursor[name] < len(outbox); h.cursor[name]++ {
		if r := outbox[h.cursor[name]]; r.state == inOutbox {
			r.state = inMachine
			rows = append(rows, r.row)
			n--
		}
	}
	h.returned(h.m.send(h.now, rows))
}

func (h *history) returned(rows []*row) {
	for _, r := range rows {
		h.move(r, inMachine, inOutbox)
	}
}

func (h *history) move(r *row, from, to rowState) {
	mr := h.byRow[r]
	if mr.state != from {
		h.t.Fatalf("row %d goes from %v to %v, but is in %v", r.Seq, from, to, mr.state)
	}
	mr.state = to
}

// relay does what the relay does with reports.
func (h *history) relay() {
	for len(h.m.notices) > 0 {
		n := h.m.notices[0]
		h.m.notices = h.m.notices[1:]
		switch n.kind {
		case noticeAcked:
			for _, r := range n.rows {
				h.move(r, inMachine, done)
			}
		case noticeRefused:
			if !poisoned(n.rows[0]) {
				h.t.Fatalf("row %d was refused: %v", n.rows[0].Seq, n.err)
			}
			h.move(n.rows[0], inMachine, parked)
		case noticeReturned:
			h.returned(n.rows)
		case noticeReady:
			for _, r := range h.rows[n.topic] {
				if r.state == inMachine {
					h.t.Fatalf("topic %s is ready, but row %d was not reported", n.topic, r.Seq)
				}
			}
			h.m.resume(n.topic)
			h.cursor[n.topic] = 0
		case noticeFenced:
			if h.fences++; h.fences > 1 {
				h.t.Fatalf("fenced %d times as %v", h.fences, n.id)
			}
			h.identify()
			h.fences = 0
		}
	}
}

func (h *history) identify() {
	h.epoch++
	h.m.identify(h.now, Identity{ProducerID: 1, Epoch: h.epoch})
}

// carry moves a request on: to its broker, or its answer back.
func (h *history) carry() {
	if len(h.lost) > 0 && h.rnd.IntN(4) == 0 {
		i := h.rnd.IntN(len(h.lost))
		c := h.lost[i]
		h.lost = slices.Delete(h.lost, i, i+1)
		before := h.cluster.rejected
		h.arrive(c)
		h.cluster.rejected = before // nobody hears of it
		// A topic's name does not say which log is meant: a late batch can be
		// the first of a topic that was created again, and sequence errors
		// follow from it. They lead to another identity, as they should.
		h.haunted = h.haunted || !h.cluster.byID
		return
	}
	if len(h.requests) == 0 {
		return
	}
	i := h.rnd.IntN(len(h.requests))
	c := h.requests[i]
	if !h.calm || h.down[c.r.leader] {
		switch n := h.rnd.IntN(20); {
		case n == 0 && c.answers == nil: // lost, but perhaps only late
			h.lost = append(h.lost, c)
			h.answer(i, transport(errNoAnswer, len(c.batches)))
			return
		case n == 1: // the answer is lost
			h.answer(i, transport(errNoAnswer, len(c.batches)))
			return
		case h.down[c.r.leader]:
			if c.answers == nil {
				h.answer(i, transport(syscall.ECONNREFUSED, len(c.batches)))
			} else {
				h.answer(i, transport(errNoAnswer, len(c.batches)))
			}
			return
		}
	}
	if c.answers == nil {
		h.arrive(c)
		return
	}
	h.answer(i, c.answers)
}

func (h *history) arrive(c *carried) {
	for _, s := range c.batches {
		c.answers = append(c.answers, h.cluster.produce(c.r.leader, s))
	}
}

func (h *history) answer(i int, answers []answer) {
	c := h.requests[i]
	h.requests = slices.Delete(h.requests, i, i+1)
	for j, a := range answers {
		if a.outcome == acked {
			s := c.batches[j]
			key := fmt.Sprintf("%x/%d", s.sealed.topic, s.partition)
			if h.cluster.byID {
				for _, r := range s.rows {
					h.acked[key] = append(h.acked[key], written{r, s.sealed.id})
				}
			}
		}
	}
	h.m.answered(h.now, c.r, answers)
}

func transport(err error, n int) []answer {
	a := answer{verdict: judgeTransport(err), err: err, hint: partitionInfo{leader: noLeader}}
	return slices.Repeat([]answer{a}, n)
}

// lookup answers a lookup: rightly, late or not at all.
func (h *history) lookup() {
	if len(h.lookups) == 0 {
		return
	}
	h.m.looking = false
	for _, name := range h.lookups {
		info := h.cluster.info(name)
		if stale := h.stale[name]; stale != nil && h.rnd.IntN(4) == 0 {
			info = stale
		}
		switch {
		case !h.calm && h.rnd.IntN(6) == 0:
			h.m.missed(h.now, name, kerr.RequestTimedOut)
		case info == nil:
			h.m.unknown(h.now, name, kerr.UnknownTopicOrPartition)
		default:
			h.m.found(h.now, name, *info)
		}
	}
	h.lookups = nil
}

// create runs EnsureTopic.
func (h *history) create() {
	if len(h.ensure) == 0 {
		return
	}
	name := h.ensure[0]
	h.ensure = h.ensure[1:]
	if !h.calm && h.rnd.IntN(3) == 0 {
		h.m.ensured(h.now, name, kerr.PolicyViolation)
		return
	}
	if h.cluster.topics[name] == nil {
		h.cluster.create(name, h.partitions(name), modelBrokers)
	}
	h.m.ensured(h.now, name, nil)
}

// trouble changes something about the cluster.
func (h *history) trouble() {
	name := []string{"a", "b", "c"}[h.rnd.IntN(3)]
	t := h.cluster.topics[name]
	if n := h.rnd.IntN(12); n == 0 {
		h.down[int32(h.rnd.IntN(modelBrokers))] = true
		return
	} else if n == 1 {
		clear(h.down)
		return
	} else if n == 2 {
		h.identify()
		return
	}
	if t == nil {
		h.cluster.create(name, h.partitions(name), modelBrokers)
		return
	}
	p := t.parts[h.rnd.IntN(len(t.parts))]
	h.stale[name] = h.cluster.info(name)
	switch h.rnd.IntN(10) {
	case 0, 1, 2:
		p.leader = int32(h.rnd.IntN(modelBrokers))
		p.epoch++
	case 3:
		p.leader = noLeader
		p.epoch++
	case 4:
		p.fewReplicas = !p.fewReplicas
	case 5:
		t.forbidden = !t.forbidden
	case 6:
		t.limit = 1 + h.rnd.IntN(8)
	case 7: // a rival takes the partition over
		if state := p.producers[1]; state != nil {
			h.epoch++
			*state = modelProducer{epoch: h.epoch, next: 1}
		}
	case 8:
		if h.growing {
			t.grow(len(t.parts)+1, modelBrokers, h.rnd)
		}
	case 9:
		h.checkLog(t)
		if h.rnd.IntN(2) == 0 && h.m.cfg.EnsureTopic != nil {
			delete(h.cluster.topics, name)
		} else {
			h.cluster.create(name, h.partitions(name), modelBrokers)
		}
	}
}

// heal makes the cluster well.
func (h *history) heal() {
	h.calm = true
	clear(h.down)
	for _, name := range []string{"a", "b", "c"} {
		t := h.cluster.topics[name]
		if t == nil {
			t = h.cluster.create(name, h.partitions(name), modelBrokers)
		}
		t.forbidden = false
		for _, p := range t.parts {
			p.fewReplicas = false
			if p.leader == noLeader {
				p.leader = 0
			}
			p.epoch++
		}
	}
	clear(h.stale)
}

func (h *history) finished() bool {
	for _, rows := range h.rows {
		for _, r := range rows {
			if r.state != done && r.state != parked {
				return false
			}
		}
	}
	return true
}

// check looks at what must hold at all times.
func (h *history) check() {
	if h.cluster.rejected > 0 && !h.haunted {
		h.t.Fatalf("the sequence is broken: %s", h.state())
	}
	rows := 0
	for _, t := range h.m.topics {
		busy := 0
		count := func(l *lane) {
			if l.hand != nil {
				busy++
				rows += len(l.hand.rows)
			}
			for _, part := range l.parts {
				rows += len(part)
			}
			rows += len(l.queue)
			if t.state != open && len(l.parts)+len(l.queue) > 0 {
				h.t.Fatalf("topic %s is %v, and has rows queued", t.name, t.state)
			}
			if (l.state == idle) == l.pending() {
				h.t.Fatalf("lane %s/%d is %v, pending %v", t.name, l.partition, l.state, l.pending())
			}
		}
		for _, l := range t.lanes {
			count(l)
			// The brokers may know of a batch that was given up.
			h.haunted = h.haunted || l.below > 0
		}
		rows += len(t.unplaced)
		if busy != t.busy {
			h.t.Fatalf("topic %s: %d lanes are busy, counted %d", t.name, busy, t.busy)
		}
		if t.state == held && busy == 0 && t.partitions > 0 {
			h.t.Fatalf("topic %s is held, but nothing finds out when it is well", t.name)
		}
	}
	if rows != h.m.stats.Rows {
		h.t.Fatalf("%d rows, counted %d", rows, h.m.stats.Rows)
	}
}

// checkLogs looks at what was stored.
func (h *history) checkLogs() {
	for _, t := range h.cluster.topics {
		h.checkLog(t)
	}
}

func (h *history) checkLog(t *modelTopic) {
	last := make(map[byte]int64)
	for i, p := range t.parts {
		seen := make(map[written]int)
		first := make(map[*row]int)
		for at, w := range p.log {
			if _, again := seen[w]; again {
				h.t.Fatalf("row %d is twice in %s/%d: %v", w.row.Seq, t.name, i, p.log)
			}
			seen[w] = at
			if _, again := first[w.row]; again {
				continue
			}
			first[w.row] = at
			if w.row.Key == nil || h.growing {
				continue
			}
			if key := w.row.Key[0]; w.row.Seq < last[key] {
				h.t.Fatalf("row %d comes after row %d in %s/%d: %v", w.row.Seq, last[key], t.name, i, p.log)
			} else {
				last[key] = w.row.Seq
			}
		}
		at := -1
		for _, w := range h.acked[fmt.Sprintf("%x/%d", t.id, i)] {
			where, ok := seen[w]
			if !ok || where <= at {
				h.t.Fatalf("row %v was acknowledged out of order, or is not in %s/%d: %v", w, t.name, i, p.log)
			}
			at = where
		}
	}
}

func (h *history) state() string {
	s := fmt.Sprintf("now %v, fenced %v, %d requests, lookups %v (looking %v), ensure %v\n", h.now, h.m.fenced, len(h.requests), h.lookups, h.m.looking, h.ensure)
	for _, t := range h.m.topics {
		s += fmt.Sprintf("topic %s %v busy %d unplaced %d lookupAt %v ensuring %v listed %v\n", t.name, t.state, t.busy, len(t.unplaced), t.lookupAt, t.ensuring, t.listed)
		for _, l := range t.lanes {
			s += fmt.Sprintf("  lane %d %v leader %d hand %v parts %d queue %d failures %d retryAt %v err %v listed %v\n",
				l.partition, l.state, l.leader, l.hand != nil, len(l.parts), len(l.queue), l.failures, l.retryAt, l.err, l.listed)
		}
	}
	return s
}
