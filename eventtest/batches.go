package eventtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// badOrder is the one that batch handlers do not like, undecodable the one that
// they cannot get, lastOrder the last of a batch of 30.
const (
	badOrder    = 20
	undecodable = 10
	lastOrder   = 30
)

// complaint is how a batch handler says that it does not like the order at
// position i.
type complaint struct {
	name string
	say  func(es []eventmodels.Event[order], i int) error
	// alone are the attempts of the bad order alone.
	alone string
}

var complaints = []complaint{
	{"plain", func(es []eventmodels.Event[order], i int) error { return upToThree(es, i) }, "[1 2 3]"},
	{"panic", func(es []eventmodels.Event[order], i int) error {
		if len(es) > 1 {
			panic(errTest)
		}
		return upToThree(es, i)
	}, "[1 2 3]"},
	{"not-to-be-retried", func([]eventmodels.Event[order], int) error {
		return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
	}, "[1]"},
	{"named", func(es []eventmodels.Event[order], i int) error {
		return &eventmodels.BatchError{Errors: map[int]error{i: upToThree(es, i)}}
	}, "[2 3]"},
}

// upToThree is the error of an order that is given up at its third attempt.
func upToThree(es []eventmodels.Event[order], i int) error {
	if es[i].Attempt < 3 {
		return errTest
	}
	return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
}

// batchCalls is what a batch handler was called with.
type batchCalls struct {
	mu      sync.Mutex
	largest int
	alone   []int // attempts of the bad order
	done    map[int]int
}

// take notes a call and returns its error.
func (b *batchCalls) take(c *complaint, es []eventmodels.Event[order], gate <-chan struct{}) error {
	if es[0].Payload.N == 0 {
		<-gate // meanwhile a batch queues up
	}
	b.mu.Lock()
	b.largest = max(b.largest, len(es))
	i := slices.IndexFunc(es, func(e eventmodels.Event[order]) bool { return e.Payload.N == badOrder })
	if i >= 0 && len(es) == 1 {
		b.alone = append(b.alone, es[i].Attempt)
	}
	b.mu.Unlock()
	if i < 0 {
		return nil
	}
	return c.say(es, i)
}

// succeeded counts the orders that a call which ended with err has done.
func (b *batchCalls) succeeded(es []eventmodels.Event[order], err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	failed, all := eventmodels.SplitBatchError(err, len(es))
	for i, e := range es {
		if all == nil && failed[i] == nil {
			b.done[e.Payload.N]++
		}
	}
}

func (b *batchCalls) check(t *testing.T, c *complaint) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.largest < lastOrder-2 { // one cannot be decoded, one may come late
		t.Errorf("%s: the largest batch had %d events", c.name, b.largest)
	}
	if got := fmt.Sprint(b.alone); got != c.alone {
		t.Errorf("%s: attempts of the bad order alone: %v, want %s", c.name, got, c.alone)
	}
}

// crowd sends orders 0 to 30, one of which cannot be decoded, and opens the
// gate when the queues are full. (Where order 0 waits for a connection, it has
// a place in one.)
func crowd(t *testing.T, kafka *cluster, witness *seen[order], gate chan<- struct{}) {
	t.Helper()
	for n := range lastOrder + 1 {
		r := plain("orders", "k", 0, n)
		if n == undecodable {
			r.Value = []byte("{")
		}
		kafka.send(r)
	}
	witness.wait(t, lastOrder-1)
	close(gate)
}

// Of a batch of thirty events one is bad and one cannot be decoded: 28 succeed,
// once, and two take the verdict.
func (s *suite[ID, TX, DB]) batches(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	gate := make(chan struct{})
	witness, heard := newSeen[order](), newSeen[order]()
	calls := make([]*batchCalls, len(complaints))
	w.consumer(func(lib *events.Library[ID, TX, DB]) {
		for i := range complaints {
			c, noted := &complaints[i], &batchCalls{done: map[int]int{}}
			calls[i] = noted
			lib.ConsumeIdempotent(group, discard, c.name, orders.BatchHandler(func(_ context.Context, es []eventmodels.Event[order]) (err error) {
				ended := false
				defer func() {
					if ended {
						noted.succeeded(es, err)
					}
				}()
				err = noted.take(c, es, gate)
				ended = true
				return err
			}), quickly, events.WithBatch(30))
		}
		lib.ConsumeIdempotent(group, discard, "witness", orders.Handler(witness.handle))
		lib.ConsumeBroadcast("b", orders.BatchHandler(func(_ context.Context, es []eventmodels.Event[order]) error {
			for _, e := range es {
				heard.add(e)
			}
			return nil
		}))
	})
	crowd(t, kafka, witness, gate)
	kafka.awaitNoLag("g", "orders")
	for i := range complaints {
		c := &complaints[i]
		calls[i].check(t, c)
		for n := range lastOrder + 1 {
			want := 1
			if n == badOrder || n == undecodable {
				want = 0
			}
			if got := calls[i].done[n]; got != want {
				t.Errorf("%s: order %d was done %d times", c.name, n, got)
			}
		}
	}
	counts := times(heard.wait(t, lastOrder))
	if len(counts) != lastOrder || counts[undecodable] != 0 {
		t.Errorf("the broadcast was heard as %v", counts)
	}
}

// The same in transactions.
func (s *suite[ID, TX, DB]) onceInBatches(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	setup := w.library(nil)
	setup.schema(effects)
	gate := make(chan struct{})
	witness := newSeen[order]()
	calls := make([]*batchCalls, len(complaints))
	w.consumer(func(lib *events.Library[ID, TX, DB]) {
		for i := range complaints {
			c, noted := &complaints[i], &batchCalls{}
			calls[i] = noted
			onceBatch(lib, "g", discard, c.name, func(ctx context.Context, tx TX, es []eventmodels.Event[order]) error {
				for _, e := range es {
					if err := w.effect(ctx, tx, c.name, orderID(e.Payload.N), e.Attempt); err != nil {
						return err
					}
				}
				return noted.take(c, es, gate)
			}, quickly, events.WithBatch(30))
		}
		lib.ConsumeIdempotent(group, discard, "witness", orders.Handler(witness.handle))
	})
	crowd(t, kafka, witness, gate)
	kafka.awaitNoLag("g", "orders")
	want := make(map[string]int)
	for i := range complaints {
		calls[i].check(t, &complaints[i])
		for n := range lastOrder + 1 {
			if n != badOrder && n != undecodable {
				want[complaints[i].name+" "+orderID(n)] = 1
			}
		}
	}
	setup.wantEffects(want)
}

// Batches that overlap, in opposite order, run at the same time, in two
// processes: every effect happens once, and no handler sees a deadlock.
func (s *suite[ID, TX, DB]) overlappingBatches(t *testing.T) {
	const all = 400
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 4, nil)
	setup := w.library(nil)
	setup.schema(effects)
	var largest batchCalls
	for range 2 {
		w.consumer(func(lib *events.Library[ID, TX, DB]) {
			onceBatch(lib, "g", block, "h", func(ctx context.Context, tx TX, es []eventmodels.Event[order]) error {
				largest.mu.Lock()
				largest.largest = max(largest.largest, len(es))
				largest.mu.Unlock()
				for _, e := range es {
					if err := w.effect(ctx, tx, "h", e.ID, e.Payload.N); err != nil {
						if ctx.Err() == nil { // else the rebalance has cancelled it
							t.Errorf("order %s: %v", e.ID, err)
						}
						return err
					}
				}
				return nil
			}, quickly)
		})
	}
	var evs []eventmodels.ProducingEvent
	for i := range all {
		for key := range 6 {
			n := i
			if key%2 == 1 {
				n = all - 1 - i
			}
			evs = append(evs, orders.Event(fmt.Sprint("key", key), order{N: n}).ID(orderID(n)))
		}
	}
	if err := setup.lib.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
		t.Fatal(err)
	}
	kafka.awaitNoLag("g", "orders")
	want := make(map[string]int)
	for n := range all {
		want["h "+orderID(n)] = 1
	}
	setup.wantEffects(want)
	if largest.largest < 2 {
		t.Error("there was no batch")
	}
}

// onceBatch registers an exactly-once batch handler.
func onceBatch[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](
	lib *events.Library[ID, TX, DB], group string, onFailure eventmodels.OnFailure, name string,
	handle func(context.Context, TX, []eventmodels.Event[order]) error, opts ...events.HandlerOpt,
) {
	lib.ConsumeExactlyOnce(events.NewConsumerGroup(group), onFailure, name, eventmodels.BindTopicTx[order, ID, TX, DB]("orders").BatchHandlerTx(handle), opts...)
}
