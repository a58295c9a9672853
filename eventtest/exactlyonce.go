package eventtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

func (s *suite[ID, TX, DB]) exactlyOnce(t *testing.T) {
	t.Run("OncePerHandler", s.oncePerHandler)
	t.Run("SimilarIDs", s.similarIDs)
	t.Run("WithoutIDs", s.withoutIDs)
	t.Run("RolledBack", s.rolledBack)
	t.Run("SwallowedError", s.swallowedError)
	t.Run("DeferredConstraint", s.deferredConstraint)
	t.Run("Batches", s.onceInBatches)
	if s.h.Concurrent {
		t.Run("OverlappingBatches", s.overlappingBatches)
	}
	t.Run("CrashAndStall", s.onceThroughCrash)
}

// effects is a table of what handlers have done.
const effects = `CREATE TABLE effects (handler VARCHAR(100) NOT NULL, id VARCHAR(400) NOT NULL, n INTEGER NOT NULL)`

// effect is what a handler does.
func (w *world[ID, TX, DB]) effect(ctx context.Context, tx TX, handler, id string, n int) error {
	_, err := tx.ExecContext(ctx, w.sql(`INSERT INTO effects (handler, id, n) VALUES (?, ?, ?)`), handler, id, n)
	return err
}

// counted is the number of effects by "handler id".
func (s *service[ID, TX, DB]) counted() map[string]int {
	s.t.Helper()
	counts := make(map[string]int)
	s.transact(func(tx TX) error {
		clear(counts)
		rows, err := tx.QueryContext(context.Background(), `SELECT handler, id, count(*) FROM effects GROUP BY handler, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var handler, id string
			var n int
			if err := rows.Scan(&handler, &id, &n); err != nil {
				return err
			}
			counts[handler+" "+id] = n
		}
		return rows.Err()
	})
	return counts
}

// wantEffects compares.
func (s *service[ID, TX, DB]) wantEffects(want map[string]int) {
	s.t.Helper()
	got := s.counted()
	for what, n := range want {
		if got[what] != n {
			s.t.Errorf("%q took effect %d times, want %d", what, got[what], n)
		}
		delete(got, what)
	}
	for what, n := range got {
		s.t.Errorf("%q took effect %d times", what, n)
	}
}

// once registers an exactly-once handler.
func once[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](
	lib *events.Library[ID, TX, DB], group string, onFailure eventmodels.OnFailure, name string,
	handle func(context.Context, TX, eventmodels.Event[order]) error, opts ...events.HandlerOpt,
) {
	lib.ConsumeExactlyOnce(events.NewConsumerGroup(group), onFailure, name, eventmodels.BindTopicTx[order, ID, TX, DB]("orders").HandlerTx(handle), opts...)
}

// Two groups with two handlers each, under two prefixes: each of the eight
// does each event once, although all events are in the topic several times, in
// several partitions, to be handled at the same moment.
func (s *suite[ID, TX, DB]) oncePerHandler(t *testing.T) {
	const all, copies = 12, 3
	w := s.world(t)
	setup := w.library(nil)
	setup.schema(effects)
	want := make(map[string]int)
	for _, prefix := range []string{"one.", "two."} {
		w := *w
		w.prefix += prefix
		kafka := w.cluster()
		kafka.create("orders", 6, nil)
		c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
			for _, group := range []string{"g1", "g2"} {
				for _, name := range []string{"h1", "h2"} {
					who := prefix + group + name
					once(lib, group, block, name, func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
						return w.effect(ctx, tx, who, e.ID, e.Payload.N)
					}, quickly)
					for n := range all {
						want[who+" "+orderID(n)] = 1
					}
				}
			}
		})
		var evs []eventmodels.ProducingEvent
		for n := range all {
			for i := range copies {
				evs = append(evs, orders.Event(fmt.Sprint("key", n, i), order{N: n}).ID(orderID(n)))
			}
		}
		if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
			t.Fatal(err)
		}
		kafka.awaitNoLag("g1", "orders")
		kafka.awaitNoLag("g2", "orders")
	}
	setup.wantEffects(want)
}

// Ids that differ only in case, in a trailing blank or behind the 255th
// character are different ids, and so are equal ones of two sources.
func (s *suite[ID, TX, DB]) similarIDs(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	setup := w.library(nil)
	setup.schema(effects)
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		once(lib, "g", block, "h", func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
			return w.effect(ctx, tx, "h", fmt.Sprint(e.Payload.N), e.Payload.N)
		})
	})
	long := strings.Repeat("x", 255)
	want := make(map[string]int)
	for n, id := range []string{"a", "A", "a ", "a  ", " a", long, long + "1", long + "2", long + " ", "ä", "a\u0308"} {
		for range 2 {
			if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event(id, order{N: n}).ID(id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event(id, order{N: 100 + n}).ID(id).Source("another")); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprint("h ", n)], want[fmt.Sprint("h ", 100+n)] = 1, 1
	}
	kafka.awaitNoLag("g", "orders")
	setup.wantEffects(want)
}

// Events without ids are told apart by their place: two that differ only in
// their keys, or not at all, are two; and a redelivered one is one.
func (s *suite[ID, TX, DB]) withoutIDs(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 2, nil)
	setup := w.library(nil)
	setup.schema(effects)
	register := func(lib *events.Library[ID, TX, DB]) {
		once(lib, "g", block, "h", func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
			return w.effect(ctx, tx, "h", e.Key, e.Payload.N)
		})
	}
	c := w.consumer(register)
	for _, key := range []string{"one", "two", "three", "three"} {
		kafka.send(plain("orders", key, 0, 7))
		kafka.send(plain("orders", key, 1, 7))
	}
	kafka.awaitNoLag("g", "orders")
	c.shutdown()
	want := map[string]int{"h one": 2, "h two": 2, "h three": 4}
	setup.wantEffects(want)

	// All is delivered again.
	ctx, cancel := within()
	defer cancel()
	_, err := kafka.adm.DeleteGroup(ctx, w.prefix+"g")
	kafka.must("delete group", err)
	w.consumer(register)
	kafka.awaitNoLag("g", "orders")
	setup.wantEffects(want)
}
