package eventtest

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

func (s *suite[ID, TX, DB]) broadcast(t *testing.T) {
	t.Run("EveryInstance", s.everyInstance)
	t.Run("Away", s.broadcastAway)
	t.Run("Retention", s.broadcastRetention)
	t.Run("Failures", s.broadcastFailures)
	t.Run("NoGroups", s.broadcastNoGroups)
	t.Run("Clocks", s.broadcastClocks)
}

// listener registers a broadcast handler.
func listener[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](got *seen[order]) func(*events.Library[ID, TX, DB]) {
	return func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeBroadcast("b", orders.Handler(got.handle))
	}
}

// Two instances get every event. A third that starts later gets the later
// ones, and is ready soon.
func (s *suite[ID, TX, DB]) everyInstance(t *testing.T) {
	w := s.world(t)
	got := [3]*seen[order]{newSeen[order](), newSeen[order](), newSeen[order]()}
	one := w.consumer(listener[ID, TX, DB](got[0]))
	w.consumer(listener[ID, TX, DB](got[1]))
	one.produce(orders, 0, 50)
	for _, g := range got[:2] {
		g.wait(t, 50)
	}
	third := w.library(listener[ID, TX, DB](got[2]))
	began := time.Now()
	third.consume()
	if took := time.Since(began); took > 5*time.Second { // a quiet machine: 0.1 s
		t.Errorf("ready after %v", took)
	}
	one.produce(orders, 50, 100)
	for _, g := range got {
		g.wait(t, 50)
	}
	for i, g := range got {
		from := 0
		if i == 2 {
			from = 50
		}
		g.wait(t, 100-from)
		wantOnce(t, "an instance", g.all(), from, 100)
	}
}

// An instance that is cut off, and one whose packets are lost, get everything
// when they are back.
func (s *suite[ID, TX, DB]) broadcastAway(t *testing.T) {
	w := s.world(t)
	var dialers [2]*eventembed.Dialer
	var got [2]*seen[order]
	for i := range 2 {
		dialers[i] = eventembed.NewDialer("instance", (&net.Dialer{}).DialContext)
		got[i] = newSeen[order]()
		w.consumer(func(lib *events.Library[ID, TX, DB]) {
			lib.SetDialer(dialers[i].DialContext)
			listener[ID, TX, DB](got[i])(lib)
		})
		t.Cleanup(dialers[i].Restore)
	}
	producer := w.library(nil)
	producer.produce(orders, 0, 10)
	got[0].wait(t, 10)
	got[1].wait(t, 10)
	dialers[0].Cut()
	dialers[1].Stall()
	producer.produce(orders, 10, 60)
	dialers[0].Restore()
	dialers[1].Restore()
	producer.produce(orders, 60, 70)
	for i := range 2 {
		got[i].wait(t, 70)
		wantOnce(t, "an instance that was away", got[i].all(), 0, 70)
	}
}

// What retention has removed before it was read is told, and reading goes on.
func (s *suite[ID, TX, DB]) broadcastRetention(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	dialer := eventembed.NewDialer("instance", (&net.Dialer{}).DialContext)
	got := newSeen[order]()
	gaps := make(chan string, 10)
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.SetDialer(dialer.DialContext)
		lib.OnBroadcastGap(func(topic string) { gaps <- topic })
		listener[ID, TX, DB](got)(lib)
	})
	t.Cleanup(dialer.Restore)
	kafka.send(plain("orders", "k", 0, 0))
	got.wait(t, 1)
	dialer.Cut()
	for n := 1; n < 10; n++ {
		kafka.send(plain("orders", "k", 0, n))
	}
	ctx, cancel := within()
	defer cancel()
	var below kadm.Offsets
	below.AddOffset(w.prefix+"orders", 0, 5, -1)
	_, err := kafka.adm.DeleteRecords(ctx, below)
	kafka.must("delete records", err)
	dialer.Restore()
	if topic := await(t, gaps, "the gap to be told"); topic != "orders" {
		t.Errorf("a gap in %q", topic)
	}
	got.wait(t, 6)
	all := times(got.all())
	for _, n := range []int{0, 5, 6, 7, 8, 9} {
		if all[n] != 1 {
			t.Errorf("order %d came %d times", n, all[n])
		}
	}
	if len(all) != 6 || len(gaps) != 0 {
		t.Errorf("%d orders came, and %d more gaps were told", len(all), len(gaps))
	}
	if h := c.lib.Health(ctx); h.Broadcast == nil || h.Broadcast.Gaps != 1 {
		t.Errorf("Health says of the broadcasts: %+v", h.Broadcast)
	}
}

// A broadcast handler that fails is tried again until its time is up, and
// stops nobody.
func (s *suite[ID, TX, DB]) broadcastFailures(t *testing.T) {
	w := s.world(t)
	got, never := newSeen[order](), newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeBroadcast("thrice", orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
			if e.Attempt < 3 {
				return errTest
			}
			return got.handle(ctx, e)
		}), quickly)
		lib.ConsumeBroadcast("never", orders.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
			never.add(e)
			if e.Payload.N == 0 {
				panic(errTest)
			}
			return nil
		}), events.WithRetrying(false))
	})
	c.produce(orders, 0, 10)
	got.wait(t, 10)
	never.wait(t, 10)
	wantOnce(t, "a handler that succeeds at last", got.all(), 0, 10)
	wantOnce(t, "a handler that is not retried", never.all(), 0, 10)
}

// Any number of instances need no group, and none waits for another.
func (s *suite[ID, TX, DB]) broadcastNoGroups(t *testing.T) {
	const instances = 12
	w := s.world(t)
	w.open = nil // no database, either
	kafka := w.cluster()
	var none DB
	got := newSeen[order]()
	for range instances {
		lib := events.New[ID, TX, DB]()
		lib.SetPrefix(w.prefix)
		listener[ID, TX, DB](got)(lib)
		lib.Configure(none, nil, false, nil, nil, s.h.Brokers)
		t.Cleanup(func() {
			ctx, cancel := within()
			defer cancel()
			if err := lib.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		started, _, err := lib.StartConsuming(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		await(t, started, "an instance to start")
		if name := lib.GetBroadcastConsumerGroupName(); !strings.HasPrefix(name, "broadcastLFConsumer-") {
			t.Errorf("the consumer is called %q", name)
		}
	}
	w.library(nil).produce(orders, 0, 5)
	got.wait(t, 5*instances)
	for n, count := range times(got.all()) {
		if count != instances {
			t.Errorf("order %d came to %d of %d instances", n, count, instances)
		}
	}
	ctx, cancel := within()
	defer cancel()
	groups, err := kafka.adm.ListGroups(ctx)
	kafka.must("list groups", err)
	if names := slices.DeleteFunc(groups.Groups(), func(name string) bool {
		return !strings.HasPrefix(name, w.prefix) && !strings.HasPrefix(name, "broadcast")
	}); len(names) != 0 {
		t.Errorf("there are consumer groups: %v", names)
	}
}

// The gap between heartbeats is measured with this process's clock: those of
// other producers and of the brokers do not matter.
func (s *suite[ID, TX, DB]) broadcastClocks(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	c := w.library(listener[ID, TX, DB](newSeen[order]()))
	if gap, configured := c.lib.BroadcastConsumerLastLatency(); gap != 0 || configured != 10*time.Second {
		t.Errorf("before the start: %v, %v", gap, configured)
	}
	c.consume()
	began := time.Now()
	// The first one may meet the Library's own, the next of which is seconds away.
	for _, at := range []time.Time{began, began.Add(-48 * time.Hour), began.Add(30 * time.Minute)} {
		sent := time.Now()
		kafka.send(kgo.Record{Topic: "broadcast-heartbeat", Value: []byte("{}"), Timestamp: at})
		eventually(t, "the heartbeat to arrive", func() bool {
			gap, _ := c.lib.BroadcastConsumerLastLatency()
			return gap > 0 && gap <= time.Since(sent)
		})
	}
}
