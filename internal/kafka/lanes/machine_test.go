package lanes

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
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
//   - only rows that brokers refuse are refused, unless the sender is patient:
//     then also what waits for a topic that is forbidden or missing;
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
	cfg.Patient = seed%5 == 4
	if seed%2 == 0 || cfg.Patient {
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
		} else if h.m.cfg.Patient && h.rnd.IntN(8) == 0 {
			h.withdraw()
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
	h.returned(h.m.send(h.now, rows, byKey))
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
			_, gaveUp := n.err.(*HeldError)
			for _, r := range n.rows {
				if !poisoned(r) && !(gaveUp && h.m.cfg.Patient) {
					h.t.Fatalf("row %d was refused: %v", r.Seq, n.err)
				}
				h.move(r, inMachine, parked)
			}
		case noticeReturned:
			if h.m.cfg.Patient { // nobody sends them again
				for _, r := range n.rows {
					h.move(r, inMachine, parked)
				}
				continue
			}
			h.returned(n.rows)
		case noticeHeld:
			if h.m.cfg.Patient {
				h.t.Fatalf("topic %s is held: %v", n.topic, n.err)
			}
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

// withdraw takes back what nobody waits for any more.
func (h *history) withdraw() {
	var rows []*row
	for _, r := range h.rows[[]string{"a", "b", "c"}[h.rnd.IntN(3)]] {
		if r.state == inMachine && h.rnd.IntN(2) == 0 {
			rows = append(rows, r.row)
		}
	}
	for _, r := range h.m.withdraw(rows) {
		h.move(r, inMachine, parked)
	}
}

func (h *history) identify() {
	h.epoch++
	h.m.identify(h.now, Identity{ProducerID: 1, Epoch: h.epoch})
}
