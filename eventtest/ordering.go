package eventtest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// line notes the orders that a handler has done, by key, and fails the test if
// two of a key are handled at a time.
type line struct {
	t  *testing.T
	of func(e eventmodels.Event[order]) string

	mu      sync.Mutex
	running map[string]int
	done    map[string][]int
}

func newLine(t *testing.T, of func(e eventmodels.Event[order]) string) *line {
	return &line{t: t, of: of, running: map[string]int{}, done: map[string][]int{}}
}

// handle is a handler around handle.
func (l *line) handle(handle func(e eventmodels.Event[order]) error) func(context.Context, eventmodels.Event[order]) error {
	return func(_ context.Context, e eventmodels.Event[order]) error {
		key := l.of(e)
		l.mu.Lock()
		if l.running[key]++; l.running[key] > 1 {
			l.t.Errorf("%d of %q are handled at a time", l.running[key], key)
		}
		l.mu.Unlock()
		err := handle(e)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.running[key]--
		if err == nil {
			l.done[key] = append(l.done[key], e.Payload.N)
		}
		return err
	}
}

// check fails unless the orders of each key were done once, in order.
func (l *line) check(want map[string]int) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range want {
		done := l.done[key]
		if len(done) != n || !slices.IsSorted(done) {
			l.t.Errorf("%q: %d were done, want %d in order: %v", key, len(done), n, done)
		}
	}
}

// Events of a key, or of a partition, come in order, also through retries; two
// keys come at the same time, and one goes on while the other is tried again.
func (s *suite[ID, TX, DB]) ordering(t *testing.T) {
	const all = 100
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	byKey := newLine(t, func(e eventmodels.Event[order]) string { return e.Key })
	byPartition := newLine(t, func(eventmodels.Event[order]) string { return "all" })
	overtaken, second := make(chan struct{}), make(chan struct{})
	w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, discard, "key", orders.Handler(byKey.handle(func(e eventmodels.Event[order]) error {
			switch {
			case e.Payload.N == 0:
				await(t, second, "the other key's event to come at the same time")
			case e.Payload.N == 1:
				close(second)
			case e.Payload.N == all-1:
				close(overtaken)
			case e.Payload.N == 2:
				select {
				case <-overtaken:
				default:
					return errTest
				}
			case e.Payload.N%10 < 2 && e.Attempt < 2:
				return errTest
			}
			return nil
		})), quickly, events.WithOrdering(events.ByKey), events.WithQueueDepthLimit(all))
		lib.ConsumeIdempotent(events.NewConsumerGroup("partition"), discard, "partition", orders.Handler(byPartition.handle(func(e eventmodels.Event[order]) error {
			if e.Payload.N%10 == 2 && e.Attempt < 3 {
				return errTest
			}
			return nil
		})), quickly, events.WithOrdering(events.ByPartition))
	})
	for n := range all {
		kafka.send(plain("orders", []string{"even", "odd"}[n%2], 0, n))
	}
	kafka.awaitNoLag("g", "orders")
	kafka.awaitNoLag("partition", "orders")
	byKey.check(map[string]int{"even": all / 2, "odd": all / 2})
	byPartition.check(map[string]int{"all": all})
}
