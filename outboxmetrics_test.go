//go:build synctests

package events_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// The state of the outbox is told by the process that relays it, and by that
// process alone. In virtual time.
func TestOutboxMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, network := startInBubble(t)
		const scope = "outboxmetrics."
		path := filepath.Join(t.TempDir(), "events.db")
		newLibrary := func() (*eventsqlite.Library, *eventsqlite.DB) {
			db, err := eventsqlite.Open(context.Background(), path, eventsqlite.WithMigrate())
			if err != nil {
				t.Fatal(err)
			}
			lib := sqliteOn(network)
			lib.SetPrefix(scope)
			lib.Configure(db, nil, false, nil, nil, broker.Addrs())
			if _, err := lib.CatchUpProduce(context.Background(), time.Second, 100); err != nil {
				t.Fatal(err)
			}
			return lib, db
		}
		lib, db := newLibrary()
		defer db.Close()
		produce := func(n int) {
			if err := db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
				for i := range n {
					tx.Produce(shipments.Event("", shipment{i}))
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		value := func(g *prometheus.GaugeVec) float64 { return testutil.ToFloat64(g.WithLabelValues(scope)) }

		produce(2) // creates the topic
		time.Sleep(20 * time.Second)
		if held, rows := value(events.RelayLeaseHeld), value(events.OutboxRows); held != 1 || rows != 0 {
			t.Errorf("idle: lease held %v, %v rows", held, rows)
		}
		if age := value(events.OutboxOldestAge); age != 0 {
			t.Errorf("an empty outbox has an event of %v s", age)
		}
		if n := testutil.CollectAndCount(events.RelayLatency, "events_relay_latency_seconds"); n == 0 {
			t.Error("no latency of the relay")
		}

		fault := broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}}, kerr.NotLeaderForPartition)
		produce(3)
		time.Sleep(time.Minute)
		if rows, age := value(events.OutboxRows), value(events.OutboxOldestAge); rows != 3 || age < 45 || age > 61 {
			t.Errorf("after a minute without Kafka: %v rows, the oldest %v s", rows, age)
		}
		fault.Remove()

		big := broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}}, kerr.MessageTooLarge)
		produce(1)
		time.Sleep(2 * time.Minute)
		if parked, rows := value(events.OutboxParkedRows), value(events.OutboxRows); parked == 0 || rows != 0 {
			t.Errorf("%v parked, %v rows", parked, rows)
		}
		if n := testutil.ToFloat64(events.ErrorCounts.WithLabelValues("outbox-parked")); n == 0 {
			t.Error("a parked row is no error")
		}
		big.Remove()

		if err := lib.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if held := value(events.RelayLeaseHeld); held != 0 {
			t.Errorf("after the end the lease is held: %v", held)
		}
		if n := testutil.CollectAndCount(events.OutboxRows); n != 0 {
			t.Errorf("after the end %d outboxes are reported", n)
		}
	})
}
