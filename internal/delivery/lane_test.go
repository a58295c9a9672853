package delivery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// produceKeys appends records with one-letter keys; "-" is no key, "." an empty
// one.
func (b *broker) produceKeys(tp kafka.TopicPartition, keys string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range keys {
		r := &kafka.Record{Topic: string(tp.Topic), Partition: tp.Partition, Offset: b.ends[tp], Value: []byte("secret body")}
		switch c {
		case '-':
		case '.':
			r.Key = []byte{}
		default:
			r.Key = []byte(string(c))
		}
		b.logs[tp] = append(b.logs[tp], r)
		b.ends[tp]++
	}
	b.signal()
}

// lanes are the lanes that handlers have in their memory, and how many
// deliveries are behind others.
func (f *fixture) lanes() (lanes, behind, counted int) {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	for _, h := range f.engine.s.handlers {
		lanes += len(h.lanes)
		behind += h.behind
		counted += h.counted
	}
	return lanes, behind, counted
}

// wantNoLanes fails if a lane is left.
func (f *fixture) wantNoLanes() {
	f.t.Helper()
	if lanes, behind, counted := f.lanes(); lanes+behind+counted != 0 {
		f.t.Errorf("%d lanes are left, with %d behind, %d counted", lanes, behind, counted)
	}
}

// ordered is a handler that needs a second for each event, and notes when each
// was done, and how many ran at a time.
type ordered struct {
	f    *fixture
	mu   sync.Mutex
	done []string // "seconds:offset"
	now  int
	most int
}

func (o *ordered) run(m *eventmodels.Message, err error) error {
	o.mu.Lock()
	o.now++
	o.most = max(o.most, o.now)
	o.mu.Unlock()
	time.Sleep(time.Second)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now--
	if err == nil {
		o.done = append(o.done, fmt.Sprintf("%.4g:%d", time.Since(o.f.began).Seconds(), m.Offset))
	}
	return err
}

func (o *ordered) want(all string) {
	o.f.t.Helper()
	got := " " + strings.Join(o.done, " ") + " "
	for want := range strings.FieldsSeq(all) {
		if !strings.Contains(got, " "+want+" ") {
			o.f.t.Errorf("done: %s, want %s among them", got, want)
		}
	}
	if n := len(strings.Fields(all)); len(o.done) != n {
		o.f.t.Errorf("done: %s, want %s", got, all)
	}
}

func TestOrdering(t *testing.T) {
	for _, c := range []struct {
		ordering   Ordering
		concurrent int
		keys       string
		done       string
		most       int
	}{
		// The event with offset 0 succeeds at its third attempt, which begins
		// at 5 s.
		{ByKey, 0, "aabab--..c", "6:0 7:1 8:3 1:2 2:4 1:5 1:6 1:7 2:8 1:9", 6},
		{ByKey, 1, "aab", "6:0 7:1 2:2", 1},
		{ByPartition, 0, "ab-c", "6:0 7:1 8:2 9:3", 1},
		{Unordered, 0, "ab-a", "6:0 1:1 1:2 1:3", 4},
	} {
		t.Run(c.ordering.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				o := &ordered{f: f}
				h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
					if m.Offset == 0 && m.Attempt < 3 {
						return o.run(m, errTest)
					}
					return o.run(m, nil)
				})
				h.Ordering, h.Concurrency = c.ordering, c.concurrent
				tp := at("orders", 0)
				f.produceKeys(tp, c.keys)
				f.start(tp)
				f.settle(time.Minute)
				o.want(c.done)
				if o.most != c.most {
					t.Errorf("%d ran at a time, want %d", o.most, c.most)
				}
				f.wantCommitted(tp, int64(len(c.keys)))
				f.wantNoLanes()
				f.stop()
			})
		})
	}
}

// Two partitions have lanes of their own, even for equal keys.
func TestLanesOfPartitions(t *testing.T) {
	for _, ordering := range []Ordering{ByKey, ByPartition} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			o := &ordered{f: f}
			f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error { return o.run(m, nil) }).Ordering = ordering
			f.produceKeys(at("orders", 0), "aa")
			f.produceKeys(at("orders", 1), "aa")
			f.start(at("orders", 0), at("orders", 1))
			f.settle(time.Minute)
			o.want("1:0 1:0 2:1 2:1")
			f.wantNoLanes()
			f.stop()
		})
	}
}

// What waits behind an event that is tried again takes no room in the queue:
// other keys go on. What waits behind one that runs for the first time does.
func TestRetryingLaneTakesNoRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var good atomic.Bool
		f.cfg.Limits.WindowRecords = 200
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			switch {
			case m.Offset == 0 && m.Attempt == 1:
				time.Sleep(10 * time.Second)
				return errTest
			case m.Offset == 0 && !good.Load():
				return errTest
			}
			return nil
		})
		h.Ordering, h.QueueDepth = ByKey, 5
		tp := at("orders", 0)
		f.produceKeys(tp, strings.Repeat("ab", 150))
		f.start(tp)
		f.settle(time.Second)
		// Five wait behind the first one, so six were admitted with key a, and
		// five with key b.
		if _, behind, counted := f.lanes(); behind != 5 || counted != 5 {
			t.Errorf("%d behind, %d counted", behind, counted)
		}
		f.wantCount("invoice", 1+5)
		f.settle(10 * time.Second)
		if _, behind, counted := f.lanes(); behind != 99 || counted != 0 {
			t.Errorf("while it is tried again: %d behind, %d counted", behind, counted)
		}
		f.wantCount("invoice", 2+100) // the window is full
		stats := f.engine.Stats()[0]
		if stats.Queued != 0 || stats.Retrying != 100 || stats.QueueFull {
			t.Errorf("%+v", stats)
		}
		good.Store(true)
		f.settle(time.Minute)
		f.wantCommitted(tp, 300)
		f.wantNoLanes()
		f.stop()
	})
}

// A lane goes on behind an event that is given up: discarded, or in a letter.
func TestLaneGoesOnBehindAFinalVerdict(t *testing.T) {
	for _, onFailure := range []eventmodels.OnFailure{eventmodels.OnFailureDiscard, eventmodels.OnFailureSave} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			var o outage
			f.cfg.Healthy = o.healthy
			written := make(chan struct{})
			f.cfg.Sink = func(ctx context.Context, out []*Outgoing) []error {
				select {
				case <-written:
				case <-ctx.Done():
				}
				return nil
			}
			ord := &ordered{f: f}
			h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
				if m.Offset == 0 {
					return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
				}
				return ord.run(m, nil)
			})
			h.Ordering, h.OnFailure = ByKey, onFailure
			tp := at("orders", 0)
			f.produceKeys(tp, "aab")
			f.start(tp)
			f.settle(5 * time.Second)
			if onFailure == eventmodels.OnFailureSave {
				ord.want("1:2") // until the letter is written
			}
			close(written)
			f.settle(5 * time.Second)
			if onFailure == eventmodels.OnFailureSave {
				ord.want("1:2 6:1")
			} else {
				ord.want("1:2 1.01:1")
			}
			f.wantCommitted(tp, 3)
			f.wantNoLanes()
			f.stop()
		})
	}
}

// A partition is revoked, or read again from an earlier offset, while its lanes
// wait behind events that are tried again: they start anew, in order.
func TestLanesEndWithTheirPartition(t *testing.T) {
	for _, rewound := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			var good atomic.Bool
			var last atomic.Int64
			h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
				if m.Partition == 1 {
					return nil
				}
				if m.Offset == 4 && !good.Load() {
					return errTest
				}
				if before := last.Swap(m.Offset); good.Load() && m.Offset < before {
					t.Errorf("%d after %d", m.Offset, before)
				}
				return nil
			})
			h.Ordering = ByPartition
			tp := at("orders", 0)
			f.produceKeys(tp, "abababababab")
			f.start(tp, at("orders", 1))
			f.settle(10 * time.Second)
			if _, behind, _ := f.lanes(); behind != 7 {
				t.Errorf("%d behind", behind)
			}
			if rewound {
				f.seek(tp, 7)
				f.settle(time.Second)
				if _, behind, _ := f.lanes(); behind != 7 {
					t.Errorf("%d behind after the log is read again", behind)
				}
			} else {
				f.revoke(context.Background(), f.engine, tp)
				f.wantNoLanes()
				f.produceKeys(at("orders", 1), "ab")
				f.settle(time.Second)
				f.wantNoLanes()
				last.Store(0)
				f.assign(f.engine, tp)
			}
			good.Store(true)
			f.settle(time.Minute)
			f.wantCommitted(tp, 12)
			f.wantNoLanes()
			f.stop()
		})
	}
}

// An outage parks lanes, and they go on in order.
func TestLanesThroughAnOutage(t *testing.T) {
	for _, batch := range []int{1, 5} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			var o outage
			f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
			o.away.Store(true)
			next := map[byte]int64{'a': 0, 'b': 1}
			h, _ := f.handleBatch("invoice", "orders", batch, func(_ context.Context, ms []*eventmodels.Message) error {
				if o.away.Load() {
					return errAway
				}
				for _, m := range ms {
					key := "ab"[m.Offset%2]
					if m.Offset != next[key] {
						t.Errorf("%d instead of %d", m.Offset, next[key])
					}
					next[key] = m.Offset + 2
				}
				return nil
			})
			h.Ordering = ByKey
			tp := at("orders", 0)
			f.produceKeys(tp, strings.Repeat("ab", 100))
			f.start(tp)
			f.settle(10 * time.Minute)
			o.away.Store(false)
			f.settle(time.Minute)
			f.wantCommitted(tp, 200)
			f.wantNoLanes()
			f.stop()
		})
	}
}

// Every event has another key: nothing is left of their lanes.
func TestManyKeysLeaveNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Limits.WindowRecords = 1000
		most := 0
		h := f.handle("invoice", "orders", nil)
		h.Run = func(context.Context, []*eventmodels.Message) error {
			if n, _, _ := f.lanes(); n > most {
				most = n
			}
			return nil
		}
		h.Ordering, h.Concurrency = ByKey, 1
		tp := at("orders", 0)
		f.produce(tp, 20_000)
		for i, r := range f.broker.logs[tp] {
			r.Key = fmt.Appendf(nil, "key %d", i)
		}
		f.start(tp)
		f.settle(time.Minute)
		f.wantCommitted(tp, 20_000)
		f.wantNoLanes()
		if most > 2*DefaultQueueDepth {
			t.Errorf("%d lanes at a time", most)
		}
		f.stop()
	})
}
