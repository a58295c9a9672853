package lanes_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type row = eventmodels.OutboxRow

// relay is the other side of a sender: it hands rows out in their order, and
// sends what was returned again when its topic is ready.
type relay struct {
	t      testing.TB
	sender *lanes.Sender

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	seq     int64
	out     map[*row]bool // sent and not reported
	acked   []*row
	refused map[*row]error
	back    map[string][]*row // returned, by topic
	held    map[string]error
	holds   int
	readies int
	fenced  []lanes.Identity
	// onFenced is called, if there is one, on a goroutine of its own.
	onFenced func(lanes.Identity)
	stopped  bool

	// sending makes Send and Resume follow each other.
	sending sync.Mutex
	ready   chan string
}

// option changes a sender's configuration.
type option func(*lanes.Config)

// start starts a sender with a relay around it.
func start(t testing.TB, client *kgo.Client, options ...option) *relay {
	t.Helper()
	r := &relay{
		t: t, changed: make(chan struct{}), out: make(map[*row]bool), refused: make(map[*row]error),
		back: make(map[string][]*row), held: make(map[string]error), ready: make(chan string, 100),
	}
	cfg := lanes.Config{Client: client, Report: r, HoldAfter: 300 * time.Millisecond, MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond}
	for _, o := range options {
		o(&cfg)
	}
	if cfg.Identity == (lanes.Identity{}) {
		id, err := lanes.InitProducerID(ctx(t), client)
		if err != nil {
			t.Fatal(err)
		}
		id.Epoch = 7
		cfg.Identity = id
	}
	var err error
	if r.sender, err = lanes.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.sender.Start()
	loop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case topic := <-r.ready:
				r.resume(topic)
			case <-loop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(loop)
		<-done
		r.stop(ctx(t))
	})
	return r
}

func (r *relay) stop(ctx context.Context) {
	r.sender.Stop(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// send sends rows, after giving them their seq.
func (r *relay) send(rows ...*row) {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.mu.Lock()
	for _, row := range rows {
		r.seq++
		row.Seq = r.seq
		r.out[row] = true
	}
	r.mu.Unlock()
	r.sender.Send(rows)
}

// resume sends what was returned again.
func (r *relay) resume(topic string) {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.sender.Resume(topic)
	r.mu.Lock()
	rows := r.back[topic]
	delete(r.back, topic)
	delete(r.held, topic)
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, row := range rows {
		r.out[row] = true
	}
	r.mu.Unlock()
	r.sender.Send(rows)
	r.change(func() {})
}

func (r *relay) change(edit func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		r.t.Error("a report after Stop")
	}
	edit()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *relay) take(row *row) {
	if !r.out[row] {
		r.t.Errorf("row %d was reported and is not out", row.Seq)
	}
	delete(r.out, row)
}

func (r *relay) Acked(rows []*row, _ int32, _ int64) {
	r.change(func() {
		for _, row := range rows {
			r.take(row)
		}
		r.acked = append(r.acked, rows...)
	})
}

func (r *relay) Refused(row *row, err error) {
	r.change(func() { r.take(row); r.refused[row] = err })
}

func (r *relay) Returned(rows []*row) {
	r.change(func() {
		for _, row := range rows {
			r.take(row)
			r.back[row.Topic] = append(r.back[row.Topic], row)
		}
	})
}

func (r *relay) Held(topic string, err error) {
	r.change(func() {
		if r.held[topic] != nil {
			r.t.Errorf("topic %s is held twice", topic)
		}
		r.held[topic] = err
		r.holds++
	})
}

func (r *relay) Ready(topic string) {
	r.change(func() {
		if r.held[topic] == nil {
			r.t.Errorf("topic %s is ready, but was not held", topic)
		}
		for row := range r.out {
			if row.Topic == topic {
				r.t.Errorf("topic %s is ready, but row %d was not reported", topic, row.Seq)
			}
		}
		r.readies++
	})
	r.ready <- topic
}

func (r *relay) Fenced(id lanes.Identity, err error) {
	r.change(func() {
		if slices.Contains(r.fenced, id) {
			r.t.Errorf("%v is fenced twice", id)
		}
		r.fenced = append(r.fenced, id)
	})
	if r.onFenced != nil {
		go r.onFenced(id)
	}
}

// until waits until cond, which is called with the lock held, is true.
func (r *relay) until(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waiting until %s: %d out, %d acked, %d refused, held %v, fenced %v, %+v", what, len(r.out), len(r.acked), len(r.refused), r.held, r.fenced, r.sender.Stats())
		}
	}
}

// settled waits until everything was acknowledged or refused.
func (r *relay) settled() {
	r.t.Helper()
	r.until("everything is sent", func() bool {
		for _, rows := range r.back {
			if len(rows) > 0 {
				return false
			}
		}
		return len(r.out) == 0
	})
}

// ackedOf waits until n rows of a topic are acknowledged.
func (r *relay) ackedOf(topic string, n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d rows of %s are acknowledged", n, topic), func() bool { return r.countAcked(topic) >= n })
}

func (r *relay) countAcked(topic string) (n int) {
	for _, row := range r.acked {
		if row.Topic == topic {
			n++
		}
	}
	return n
}

// ctx returns a context that ends with the test, or after a minute.
func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return c
}
