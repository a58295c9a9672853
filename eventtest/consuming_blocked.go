package eventtest

import (
	"bytes"
	"context"
	"runtime"
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
		behind = 3000
		size   = 64 << 10 // of a record; together much more than the memory that they may take
		most   = 100 << 20
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
	blockedSince := func(paused bool) bool {
		ctx, cancel := within()
		defer cancel()
		for _, g := range c.lib.Health(ctx).Groups {
			if g.Group == "g" && len(g.Blocked) == 1 && g.Blocked[0].Reason == "retrying" && g.Blocked[0].Partition == 0 && (!paused || g.Paused == 1) {
				return true
			}
		}
		return false
	}
	eventually(t, "the partition to be blocked", func() bool { return blockedSince(false) })
	before := heap()
	bulk := []kgo.RecordHeader{{Key: "bulk", Value: bytes.Repeat([]byte{'x'}, size)}} // brokers keep it compressed
	records := make([]*kgo.Record, behind)
	for i := range records {
		records[i] = &kgo.Record{Topic: w.prefix + "orders", Partition: 0, Value: []byte(`{}`), Headers: bulk}
	}
	ctx, cancel := within()
	defer cancel()
	kafka.must("produce", kafka.kgo.ProduceSync(ctx, records...).FirstErr())
	eventually(t, "the partition to be paused", func() bool { return blockedSince(true) })
	for n := range 200 {
		kafka.send(plain("orders", "", 1, n))
	}
	eventually(t, "the other partition to go on", func() bool { return done[1].Load() == 200 })
	after := heap()
	if after > before+most {
		t.Errorf("%d MiB wait in a blocked partition, and the heap has grown from %d to %d MiB", behind*size>>20, before>>20, after>>20)
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

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
