package eventtest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

var errTest = errors.New("the handler does not like this event")

// quickly retries without wasting the test's time.
var quickly = events.WithBackoff(5*time.Millisecond, 20*time.Millisecond)

// misbehaviour is a way in which a handler treats the bad order. Each is in a
// group of its own, so that its commits can be told apart.
type misbehaviour struct {
	name      string
	onFailure eventmodels.OnFailure
	opts      []events.HandlerOpt
	bad       func(ctx context.Context, attempt int) error
	// until is closed when the bad order becomes good; nil: never.
	until chan struct{}
	// attempts of the bad order: at least and at most.
	least, most int
}

// Attempts, verdicts and commits of handlers that fail in every way.
func (s *suite[ID, TX, DB]) failures(t *testing.T) {
	blocked, deaf := make(chan struct{}), make(chan struct{})
	short := events.WithTimeout(250 * time.Millisecond)
	const many = 1 << 30
	ways := []*misbehaviour{
		{name: "fails-twice", onFailure: discard, opts: []events.HandlerOpt{quickly}, least: 3, most: 3, bad: func(_ context.Context, attempt int) error {
			if attempt < 3 {
				return errTest
			}
			return nil
		}},
		{name: "always-fails", onFailure: discard, opts: []events.HandlerOpt{quickly, short}, least: 2, most: many, bad: func(context.Context, int) error { return errTest }},
		{name: "fails-once-for-all", onFailure: discard, opts: []events.HandlerOpt{events.WithRetrying(false)}, least: 1, most: 1, bad: func(context.Context, int) error { return errTest }},
		{name: "panics", onFailure: discard, opts: []events.HandlerOpt{quickly}, least: 2, most: 2, bad: func(_ context.Context, attempt int) error {
			if attempt < 2 {
				panic(errTest)
			}
			return nil
		}},
		{name: "hangs", onFailure: discard, opts: []events.HandlerOpt{quickly, short}, least: 1, most: 1, bad: func(ctx context.Context, _ int) error {
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) > 250*time.Millisecond {
				t.Errorf("the handler's ctx ends at %v", deadline)
			}
			<-ctx.Done()
			return ctx.Err()
		}},
		{name: "ignores-its-ctx", onFailure: discard, opts: []events.HandlerOpt{quickly, short}, least: 1, most: 1, until: deaf, bad: func(ctx context.Context, _ int) error {
			<-deaf
			if ctx.Err() == nil {
				t.Error("the handler's ctx has not ended")
			}
			return nil
		}},
		{name: "blocks", onFailure: block, opts: []events.HandlerOpt{quickly, short}, least: 2, most: many, until: blocked, bad: func(context.Context, int) error {
			select {
			case <-blocked:
				return nil
			default:
				return errTest
			}
		}},
	}
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	attempts := make([]*seen[order], len(ways))
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		for i, way := range ways {
			attempts[i] = newSeen[order]()
			lib.ConsumeIdempotent(events.NewConsumerGroup(way.name), way.onFailure, way.name, orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
				attempts[i].add(e)
				if e.Payload.N == 1 {
					return way.bad(ctx, e.Attempt)
				}
				return nil
			}), way.opts...)
		}
	})
	c.produce(orders, 0, 3)
	// What waits for the bad order has committed what is in front of it.
	for i, way := range ways {
		if way.until != nil {
			attempts[i].wait(t, 2+way.least-1)
			kafka.awaitCommitted(way.name, "orders", 0, 1)
		}
	}
	for i, way := range ways {
		if way.until == nil {
			kafka.awaitNoLag(way.name, "orders")
		} else if way.name == "blocks" {
			// Beyond its timeout it is tried again.
			before := len(attempts[i].all())
			attempts[i].wait(t, before+20)
			if at := kafka.committed(way.name, "orders")[0]; at != 1 {
				t.Errorf("%s: committed up to %d", way.name, at)
			}
		} else if at := kafka.committed(way.name, "orders")[0]; at != 1 {
			t.Errorf("%s: committed up to %d while the handler runs", way.name, at)
		}
	}
	close(deaf)
	close(blocked)
	for i, way := range ways {
		kafka.awaitNoLag(way.name, "orders")
		var numbers []int
		others := 0
		for _, e := range attempts[i].all() {
			if e.Payload.N != 1 {
				others++
				continue
			}
			numbers = append(numbers, e.Attempt)
		}
		if others != 2 {
			t.Errorf("%s: the good orders were handled %d times", way.name, others)
		}
		if n := len(numbers); n < way.least || n > way.most {
			t.Errorf("%s: %d attempts, want %d to %d", way.name, n, way.least, way.most)
		}
		for j, n := range numbers {
			if n != j+1 {
				t.Errorf("%s: attempts are numbered %v", way.name, numbers)
				break
			}
		}
	}
}

// The commit stops in front of what is not done, whatever is done behind it,
// and a restart delivers all of that again, and nothing else.
func (s *suite[ID, TX, DB]) failingAmongGood(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	const bad, all = 10, 30
	first, second := newSeen[order](), newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, discard, "h", orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
			if e.Payload.N == bad {
				return errTest
			}
			return first.handle(ctx, e)
		}), quickly)
	})
	c.produce(orders, 0, all)
	first.wait(t, all-1)
	kafka.awaitCommitted("g", "orders", 0, bad)
	c.shutdown()
	if at := kafka.committed("g", "orders")[0]; at != bad {
		t.Errorf("the shutdown has committed up to %d, want %d", at, bad)
	}

	w.consumer(idempotent[ID, TX, DB](orders, second.handle))
	second.wait(t, all-bad)
	kafka.awaitNoLag("g", "orders")
	wantOnce(t, "after the restart", second.all(), bad, all)
}

// What the handler's error says of itself is done.
func (s *suite[ID, TX, DB]) errorHandling(t *testing.T) {
	const pause = 300 * time.Millisecond
	w := s.world(t)
	kafka := w.cluster()
	got := newSeen[order]()
	var called [2]atomic.Int64 // when order 2 was tried
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, discard, "h", orders.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
			got.add(e)
			switch e.Payload.N {
			case 0:
				return eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError)
			case 1:
				return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
			case 2:
				called[min(e.Attempt, 2)-1].Store(time.Now().UnixNano())
				if e.Attempt == 1 {
					return eventmodels.RetryAfter(errTest, pause)
				}
			}
			return nil
		}), events.WithBackoff(time.Hour, time.Hour))
		lib.ConsumeIdempotent(events.NewConsumerGroup("holds"), block, "h", orders.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
			if e.Payload.N == 0 {
				return eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError)
			}
			return nil
		}))
	})
	c.produce(orders, 0, 4)
	kafka.awaitNoLag("g", "orders")
	kafka.awaitNoLag("holds", "orders")
	want := []int{0, 1, 2, 2, 3}
	var numbers []int
	for _, e := range got.all() {
		numbers = append(numbers, e.Payload.N)
	}
	if slices.Sort(numbers); !slices.Equal(numbers, want) {
		t.Errorf("calls with orders %v, want %v", numbers, want)
	}
	if waited := time.Duration(called[1].Load() - called[0].Load()); waited < pause {
		t.Errorf("the second attempt came after %v, not %v", waited, pause)
	}
}

// Handlers run at the same time, or one at a time if they want to.
func (s *suite[ID, TX, DB]) concurrency(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	var running, most atomic.Int32
	meet := make(chan struct{})
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "alone", orders.Handler(func(context.Context, eventmodels.Event[order]) error {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			for range 100 {
				runtime.Gosched() // so that another one would meet it
			}
			return nil
		}), events.WithConcurrency(1))
		lib.ConsumeIdempotent(group, block, "together", orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
			select { // two have to meet
			case meet <- struct{}{}:
			case <-meet:
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		}))
	})
	c.produce(orders, 0, 40)
	kafka.awaitNoLag("g", "orders")
	if n := most.Load(); n != 1 {
		t.Errorf("%d ran at the same time in spite of WithConcurrency(1)", n)
	}
}
