//go:build synctests

package events_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// What a process has to tell of its groups: lag, blocked and paused partitions,
// changes of the assignment, marks. In virtual time.
func TestGroupMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, network := startInBubble(t)
		const group = "groupmetrics"
		topic := eventsqlite.BindTopic[shipment]("groupmetrics")
		newLibrary := func(handle func() error) *eventsqlite.Library {
			lib := sqliteOn(network)
			lib.ConsumeExactlyOnce(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, "h", topic.HandlerTx(
				func(context.Context, *eventsqlite.Tx, eventmodels.Event[shipment]) error { return handle() }))
			lib.Configure(openSQLite(t), nil, false, nil, nil, broker.Addrs())
			return lib
		}
		var fails atomic.Bool
		lib := newLibrary(func() error {
			if fails.Load() {
				return errors.New("not now")
			}
			return nil
		})
		lib.StartConsumingOrPanic(context.Background())
		produce := func(id string) {
			// One key: one partition.
			if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, topic.Event("k", shipment{1}).ID(id)); err != nil {
				t.Fatal(err)
			}
		}
		lag := func() (behind float64) {
			for _, partition := range []string{"0", "1"} {
				behind += testutil.ToFloat64(events.ConsumerLag.WithLabelValues(group, "groupmetrics", partition))
			}
			return behind
		}
		blocked := func(reason string) float64 {
			return testutil.ToFloat64(events.BlockedPartitions.WithLabelValues(group, reason))
		}
		marks := func(result string) float64 {
			return testutil.ToFloat64(events.MarksCounts.WithLabelValues("h", "groupmetrics", result))
		}
		change := func(change string) float64 {
			return testutil.ToFloat64(events.Rebalances.WithLabelValues(group, change))
		}

		produce("one")
		produce("one")
		produce("two")
		time.Sleep(20 * time.Second)
		if lag() != 0 || blocked("retrying") != 0 {
			t.Errorf("idle: lag %v, %v blocked", lag(), blocked("retrying"))
		}
		if n := testutil.ToFloat64(events.AssignedPartitions.WithLabelValues(group)); n != 2 {
			t.Errorf("%v partitions are assigned", n)
		}
		if marks("new") != 2 || marks("found") != 1 {
			t.Errorf("marks: %v new, %v found", marks("new"), marks("found"))
		}
		if change("assigned") != 1 {
			t.Errorf("assigned %v times", change("assigned"))
		}

		fails.Store(true)
		for range 2000 {
			produce("")
		}
		time.Sleep(time.Minute)
		if lag() != 2000 || blocked("retrying") != 1 || blocked("away") != 0 {
			t.Errorf("failing: lag %v, %v blocked", lag(), blocked("retrying"))
		}
		if n := testutil.ToFloat64(events.PausedPartitions.WithLabelValues(group)); n != 1 {
			t.Errorf("%v partitions are paused", n)
		}

		second := newLibrary(func() error { return nil })
		second.StartConsumingOrPanic(context.Background())
		time.Sleep(time.Minute)
		if change("revoked") == 0 || testutil.CollectAndCount(events.RevocationSeconds) == 0 {
			t.Error("a second member has taken nothing")
		}
		for _, l := range []*eventsqlite.Library{second, lib} {
			if err := l.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if n := testutil.CollectAndCount(events.AssignedPartitions); n != 0 {
			t.Errorf("after the end %d groups are reported", n)
		}
	})
}
