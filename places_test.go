//go:build synctests

package events_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Exactly-once handlers wait for one another's connections. What they wait is
// not taken from their timeout, or events would be discarded that no handler
// has seen.
func TestWaitingForAConnectionIsFree(t *testing.T) {
	for _, connections := range []int{10, 1} {
		synctest.Test(t, func(t *testing.T) {
			broker, network := startInBubble(t)
			db := openSQLite(t, eventsqlite.WithMaxConnections(connections))
			lib := sqliteOn(network)
			const total = 12
			var mu sync.Mutex
			done := make(map[int]int)
			handle := eventsqlite.BindTopic[shipment]("shipments").HandlerTx(func(ctx context.Context, _ *eventsqlite.Tx, e eventmodels.Event[shipment]) error {
				select {
				case <-time.After(3 * time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				done[e.Payload.N]++
				return nil
			})
			lib.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureDiscard, "slow", handle, events.WithTimeout(5*time.Second))
			lib.Configure(db, nil, false, nil, nil, broker.Addrs())
			defer lib.Shutdown(context.Background())
			started, _, err := lib.StartConsuming(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			<-started
			for n := range total {
				if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, shipments.Event("", shipment{n})); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * time.Minute)
			mu.Lock()
			defer mu.Unlock()
			for n := range total {
				if done[n] != 1 {
					t.Errorf("%d connections: event %d was done %d times", connections, n, done[n])
				}
			}
		})
	}
}
