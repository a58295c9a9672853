package eventtest

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

// load produces orders one after the other until stop, and returns how many.
type load struct {
	produced atomic.Int64
	stopping chan struct{}
	done     chan struct{}
}

// startLoad produces immediately, from a service of its own.
func (w *world[ID, TX, DB]) startLoad(topic eventmodels.BoundTopic[order]) *load {
	w.t.Helper()
	l := &load{stopping: make(chan struct{}), done: make(chan struct{})}
	s := w.library(nil)
	go func() {
		defer close(l.done)
		for {
			n := int(l.produced.Load())
			ctx, cancel := within()
			err := s.lib.Produce(ctx, eventmodels.ProduceImmediate, topic.Event(orderID(n), order{ID: orderID(n), N: n}))
			cancel()
			if err != nil {
				w.t.Errorf("Produce: %v", err)
				return
			}
			l.produced.Add(1)
			select {
			case <-l.stopping:
				return
			default:
			}
		}
	}()
	w.t.Cleanup(func() { l.stop() })
	return l
}

// more waits until n more orders were produced.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	want := l.produced.Load() + n
	eventually(t, "orders to be produced", func() bool { return l.produced.Load() >= want })
}

func (l *load) stop() int {
	select {
	case <-l.stopping:
	default:
		close(l.stopping)
	}
	<-l.done
	return int(l.produced.Load())
}

// Instances that come and go in order, while handlers run, lose nothing and do
// nothing twice.
func (s *suite[ID, TX, DB]) joinAndLeave(t *testing.T) {
	t.Parallel()
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 6, nil)
	got := newSeen[order]()
	var by [3]atomic.Int64
	instance := func(i int) *service[ID, TX, DB] {
		return w.consumer(idempotent[ID, TX, DB](orders, func(ctx context.Context, e eventmodels.Event[order]) error {
			by[i].Add(1)
			return got.handle(ctx, e)
		}))
	}
	busy := func(i int) {
		t.Helper()
		before := by[i].Load()
		eventually(t, "the instance to work", func() bool { return by[i].Load() > before })
	}
	l := w.startLoad(orders)
	first := instance(0)
	busy(0)
	second := instance(1)
	busy(1)
	busy(0)
	third := instance(2)
	busy(2)
	first.shutdown()
	second.shutdown()
	l.more(t, 20)
	busy(2)
	all := l.stop()
	kafka.awaitNoLag("g", "orders")
	third.shutdown()
	wantOnce(t, "all instances together", got.all(), 0, all)
}

// An instance whose machine is gone, and one that is unreachable for longer
// than the session timeout and then comes back, with a handler that ends only
// then: everything is handled by the one that is left, what was committed is
// not handled again, and what the late handler says changes nothing.
func (s *suite[ID, TX, DB]) crashAndStall(t *testing.T) {
	t.Parallel()
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 6, nil)

	type delivery struct {
		instance int
		e        eventmodels.Event[order]
	}
	var (
		mu   sync.Mutex
		all  []delivery
		by   [3]atomic.Int64
		hang atomic.Bool // the next order of instance 1 does not return
		hung = make(chan eventmodels.Event[order], 1)
		late = make(chan struct{})
	)
	var lines logLines // of instance 1
	var dialers [3]*eventembed.Dialer
	var stalled *service[ID, TX, DB]
	instance := func(i int) {
		dialers[i] = eventembed.NewDialer("instance", (&net.Dialer{}).DialContext)
		c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
			lib.SetDialer(dialers[i].DialContext)
			if i == 1 {
				lib.SetLogger(lines.logger())
			}
			lib.ConsumeIdempotent(group, discard, "h", orders.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
				mu.Lock()
				all = append(all, delivery{i, e})
				mu.Unlock()
				by[i].Add(1)
				if i == 1 && hang.CompareAndSwap(true, false) {
					hung <- e
					<-late
					return errTest // its verdict would be to discard the order
				}
				return nil
			}), events.WithRetrying(false))
		})
		t.Cleanup(dialers[i].Restore)
		if i == 1 {
			stalled = c
		}
	}
	l := w.startLoad(orders)
	for i := range 3 {
		instance(i)
		eventually(t, "the instance to work", func() bool { return by[i].Load() > 0 })
	}
	hang.Store(true)
	stuck := await(t, hung, "a handler to hang")
	committed := kafka.committed("g", "orders")
	mu.Lock()
	before := len(all)
	mu.Unlock()
	dialers[0].Cut()
	dialers[1].Stall()
	l.more(t, 20)
	produced := l.stop()
	kafka.awaitNoLag("g", "orders") // by instance 2, after the session timeout
	dialers[1].Restore()
	// The stalled instance learns that it is out, and joins again.
	seenByStalled := by[1].Load()
	more := w.library(nil)
	eventually(t, "the stalled instance to work again", func() bool {
		more.produce(orders, produced, produced+32)
		produced += 32
		return by[1].Load() > seenByStalled
	})
	kafka.awaitNoLag("g", "orders")
	close(late)
	stalled.shutdown()
	kafka.awaitNoLag("g", "orders")

	mu.Lock()
	defer mu.Unlock()
	handled := make(map[int]int)
	for i, d := range all {
		n := d.e.Payload.N
		handled[n]++
		if handled[n] > 1 && i >= before && d.e.Offset < committed[d.e.Partition] {
			t.Errorf("order %d (%d/%d) was handled again, although everything up to %d was committed", n, d.e.Partition, d.e.Offset, committed[d.e.Partition])
		}
	}
	for n := range produced {
		if handled[n] == 0 {
			t.Errorf("order %d was lost", n)
		}
	}
	if handled[stuck.Payload.N] < 2 {
		t.Errorf("the order of the handler that hung was handled %d times", handled[stuck.Payload.N])
	}
	if strings.Contains(lines.String(), "discarded") {
		t.Error("the handler that ended after its partition was lost has discarded its order")
	}
}
