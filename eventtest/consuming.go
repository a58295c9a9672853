package eventtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

var (
	audit   = eventmodels.BindTopic[order]("audit")
	group   = events.NewConsumerGroup("g")
	discard = eventmodels.OnFailureDiscard
	block   = eventmodels.OnFailureBlock
)

func (s *suite[ID, TX, DB]) consuming(t *testing.T) {
	t.Run("Restart", s.restart)
	t.Run("TwoTopics", s.twoTopics)
	t.Run("Failures", s.failures)
	t.Run("FailingAmongGood", s.failingAmongGood)
	t.Run("ErrorHandling", s.errorHandling)
	t.Run("Blocked", s.blocked)
	t.Run("Concurrency", s.concurrency)
	t.Run("Batches", s.batches)
	t.Run("Ordering", s.ordering)
	t.Run("JoinAndLeave", s.joinAndLeave)
	if s.h.NewDatabase == nil { // with one, ExactlyOnce has a test that is stricter
		t.Run("CrashAndStall", s.crashAndStall)
	}
	t.Run("AbortedTransactions", s.abortedTransactions)
	t.Run("TopicRecreated", s.topicRecreated)
	t.Run("Undecodable", s.undecodable)
	t.Run("HungHandler", s.hungHandler)
	t.Run("ShutdownUnderLoad", s.shutdownUnderLoad)
	if s.h.Broker != nil {
		t.Run("CompactedTopic", s.compactedTopic)
	}
}

// idempotent registers one handler in the group g.
func idempotent[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](
	topic eventmodels.BoundTopic[order], handle func(context.Context, eventmodels.Event[order]) error, opts ...events.HandlerOpt,
) func(*events.Library[ID, TX, DB]) {
	return func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "h", topic.Handler(handle), opts...)
	}
}

// produce sends orders [from, to) at once, with 16 keys.
func (s *service[ID, TX, DB]) produce(topic eventmodels.BoundTopic[order], from, to int) {
	s.t.Helper()
	evs := make([]eventmodels.ProducingEvent, 0, to-from)
	for n := from; n < to; n++ {
		evs = append(evs, topic.Event(fmt.Sprintf("key-%02d", n%16), order{ID: orderID(n), N: n}))
	}
	if err := s.lib.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
		s.t.Fatalf("Produce: %v", err)
	}
}

// times counts events by their number.
func times(evs []eventmodels.Event[order]) map[int]int {
	counts := make(map[int]int)
	for _, e := range evs {
		counts[e.Payload.N]++
	}
	return counts
}

// wantOnce fails unless the events are orders [from, to), once each.
func wantOnce(t testing.TB, what string, evs []eventmodels.Event[order], from, to int) {
	t.Helper()
	counts := times(evs)
	for n := from; n < to; n++ {
		if counts[n] != 1 {
			t.Errorf("%s: order %d came %d times", what, n, counts[n])
		}
		delete(counts, n)
	}
	for n, count := range counts {
		t.Errorf("%s: order %d, which is none of %d to %d, came %d times", what, n, from, to-1, count)
	}
}

// What is done is committed soon, also when nothing comes behind it, and a
// restarted group goes on there.
func (s *suite[ID, TX, DB]) restart(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	first, second := newSeen[order](), newSeen[order]()
	c := w.consumer(idempotent[ID, TX, DB](orders, first.handle))
	c.produce(orders, 0, 100)
	first.wait(t, 100)
	kafka.awaitNoLag("g", "orders")
	c.shutdown()

	c = w.library(idempotent[ID, TX, DB](orders, second.handle))
	c.produce(orders, 100, 120) // while nobody consumes
	c.shutdown()
	c = w.consumer(idempotent[ID, TX, DB](orders, second.handle))
	c.produce(orders, 120, 140)
	second.wait(t, 40)
	kafka.awaitNoLag("g", "orders")
	wantOnce(t, "before the restart", first.all(), 0, 100)
	wantOnce(t, "after the restart", second.all(), 100, 140)
}

// Partition 0 of two topics in one group are two partitions.
func (s *suite[ID, TX, DB]) twoTopics(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	kafka.create("audit", 1, nil)
	well := make(chan struct{})
	gotOrders, gotAudit := newSeen[order](), newSeen[order]()
	register := func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "h", orders.Handler(gotOrders.handle))
		lib.ConsumeIdempotent(group, block, "h", audit.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
			if e.Payload.N == 3 {
				select {
				case <-well:
				default:
					return errTest
				}
			}
			return gotAudit.handle(ctx, e)
		}), quickly)
	}
	c := w.consumer(register)
	c.produce(audit, 0, 7)
	c.produce(orders, 0, 20)
	gotOrders.wait(t, 20)
	kafka.awaitCommitted("g", "orders", 0, 20)
	kafka.awaitCommitted("g", "audit", 0, 3)
	close(well)
	gotAudit.wait(t, 7)
	kafka.awaitCommitted("g", "audit", 0, 7)
	kafka.awaitCommitted("g", "orders", 0, 20)
	c.shutdown()

	c = w.consumer(register)
	c.produce(audit, 7, 10)
	c.produce(orders, 20, 22)
	kafka.awaitNoLag("g", "orders", "audit")
	wantOnce(t, "orders", gotOrders.all(), 0, 22)
	wantOnce(t, "audit", gotAudit.all(), 0, 10)
}
