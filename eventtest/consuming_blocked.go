package eventtest

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// A handler that blocks pauses its partition: what comes behind the event that
// fails stays with the brokers, and not in memory. The other partition goes on,
// and so does everything when the handler is well.
func (s *suite[ID, TX, DB]) blocked(t *testing.T) {
	const (
		behind = 10000
		most   = 3000 // of these in memory: what two polls return, and a little
	)
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 2, nil)
	var well atomic.Bool
	var done [2]atomic.Int64
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(group, block, "h", orders.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
			if e.Partition == 0 && e.Offset == 0 && !well.Load() {
				return errTest
			}
			done[e.Partition].Add(1)
			return nil
		}), quickly)
	})
	kafka.send(plain("orders", "", 0, 0))
	state := func() (g events.GroupHealth) {
		ctx, cancel := within()
		defer cancel()
		for _, g = range c.lib.Health(ctx).Groups {
			if g.Group == "g" {
				return g
			}
		}
		return events.GroupHealth{}
	}
	eventually(t, "the partition to be blocked", func() bool {
		g := state()
		return len(g.Blocked) == 1 && g.Blocked[0].Reason == "retrying" && g.Blocked[0].Partition == 0
	})
	records := make([]*kgo.Record, behind)
	for i := range records {
		records[i] = &kgo.Record{Topic: w.prefix + "orders", Partition: 0, Value: []byte(`{}`)}
	}
	ctx, cancel := within()
	defer cancel()
	kafka.must("produce", kafka.kgo.ProduceSync(ctx, records...).FirstErr())
	eventually(t, "the partition to be paused", func() bool { return state().Paused == 1 })
	for n := range 200 {
		kafka.send(plain("orders", "", 1, n))
	}
	eventually(t, "the other partition to go on", func() bool { return done[1].Load() == 200 })
	if g := state(); g.Backlog > most || g.Paused != 1 {
		t.Errorf("of %d events behind the one that blocks %d are in memory, and %d partitions are paused", behind, g.Backlog, g.Paused)
	}
	if n := done[0].Load(); n != 0 {
		t.Errorf("%d events behind the one that blocks were handled", n)
	}
	well.Store(true)
	kafka.awaitNoLag("g", "orders")
	if n := done[0].Load(); n != behind+1 {
		t.Errorf("%d events of the partition were handled, want %d", n, behind+1)
	}
}
