//go:build synctests

package events_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// runs notes how many runs of a handler there are at a time, and how many
// events one has.
type runs struct {
	mu                   sync.Mutex
	now, together, batch int
}

func (r *runs) run(n int) {
	r.mu.Lock()
	r.now++
	r.together, r.batch = max(r.together, r.now), max(r.batch, n)
	r.mu.Unlock()
	time.Sleep(time.Second)
	r.mu.Lock()
	r.now--
	r.mu.Unlock()
}

// onEmbedded is a Library without database on an embedded broker in the bubble.
func onEmbedded(t *testing.T, register func(lib *eventnodb.Library)) *eventnodb.Library {
	broker, network := startInBubble(t)
	lib := eventnodb.New()
	lib.SkipNotifierSupport()
	lib.SetDialer(network.DialContext)
	lib.SetLogger(slog.New(slog.DiscardHandler))
	register(lib)
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	lib.StartConsumingOrPanic(t.Context())
	return lib
}

func ship(t *testing.T, lib *eventnodb.Library, n int) {
	t.Helper()
	var all []eventmodels.ProducingEvent
	for i := range n {
		all = append(all, shipments.Event("k", shipment{i}))
	}
	if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, all...); err != nil {
		t.Fatal(err)
	}
}

// How many events a run has, and how many runs there are at a time.
func TestBatchOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cases := []struct {
			name            string
			single          bool
			opts            []events.HandlerOpt
			batch, together int
		}{
			{"default", false, nil, 30, 3},
			{"batch", false, []events.HandlerOpt{events.WithBatch(5)}, 5, 1},
			{"concurrency", false, []events.HandlerOpt{events.WithConcurrency(2)}, 1, 2},
			{"both", false, []events.HandlerOpt{events.WithConcurrency(2), events.WithBatch(7)}, 7, 2},
			{"queue", false, []events.HandlerOpt{events.WithQueueDepthLimit(10)}, 10, 3},
			{"single", true, nil, 1, 30},
			{"single-batch", true, []events.HandlerOpt{events.WithBatch(5)}, 1, 30},
			{"single-both", true, []events.HandlerOpt{events.WithBatch(5), events.WithConcurrency(2)}, 1, 2},
		}
		noted := make([]runs, len(cases))
		lib := onEmbedded(t, func(lib *eventnodb.Library) {
			lib.SetMaxRunningHandlers(500)
			for i, c := range cases {
				var handler eventmodels.HandlerInterface = shipments.BatchHandler(func(_ context.Context, es []eventmodels.Event[shipment]) error {
					noted[i].run(len(es))
					return nil
				})
				if c.single {
					handler = shipments.Handler(func(context.Context, eventmodels.Event[shipment]) error {
						noted[i].run(1)
						return nil
					})
				}
				lib.ConsumeIdempotent(events.NewConsumerGroup(c.name), eventmodels.OnFailureBlock, c.name, handler, c.opts...)
			}
		})
		defer lib.Shutdown(context.Background())
		ship(t, lib, 300)
		time.Sleep(30 * time.Second)
		for i, c := range cases {
			r := &noted[i]
			r.mu.Lock()
			if r.batch != c.batch || r.together < min(c.together, 20) || c.together < 20 && r.together != c.together {
				t.Errorf("%s: up to %d runs of up to %d events, want %d of %d", c.name, r.together, r.batch, c.together, c.batch)
			}
			r.mu.Unlock()
		}
	})
}

func TestWithBatchPanics(t *testing.T) {
	for _, n := range []int{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("WithBatch(%d) did not panic", n)
				}
			}()
			events.WithBatch(n)
		}()
	}
}

// The gauges of queues and batches while two batches run, thirty events are in
// the queue and the others wait for it; and when all is over.
func TestQueueGauges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		lib := onEmbedded(t, func(lib *eventnodb.Library) {
			for _, group := range []string{"gauges-1", "gauges-2"} {
				lib.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, "gauged", shipments.BatchHandler(func(context.Context, []eventmodels.Event[shipment]) error {
					<-release
					return nil
				}), events.WithConcurrency(2), events.WithBatch(10))
			}
		})
		defer lib.Shutdown(context.Background())
		ship(t, lib, 100) // fewer than what keeps the poller from polling
		time.Sleep(3 * time.Second)
		check := func(when string, want map[string]float64) {
			t.Helper()
			synctest.Wait()
			for name, g := range map[string]prometheus.Gauge{
				"batches":    events.HandlerBatchConcurrency.WithLabelValues("gauged"),
				"queued":     events.HandlerBatchQueued.WithLabelValues("gauged"),
				"full":       events.HandlerWaitingForQueueConcurrencyLimit.WithLabelValues("gauged", "shipments"),
				"waiting":    events.HandlerWaitingForQueueConcurrencyDemand.WithLabelValues("gauged", "shipments"),
				"group":      events.ConsumersWaitingForQueueConcurrencyDemand.WithLabelValues("gauges-1"),
				"group held": events.ConsumersWaitingForQueueConcurrencyLimit.WithLabelValues("gauges-1"),
			} {
				if got := testutil.ToFloat64(g); got != want[name] {
					t.Errorf("%s, %s: %v, want %v", when, name, got, want[name])
				}
			}
		}
		// Two single events run in each group: nothing had queued up before.
		check("under load", map[string]float64{"batches": 4, "queued": 60, "full": 1, "waiting": 136, "group": 68, "group held": 1})
		close(release)
		time.Sleep(5 * time.Second)
		check("afterwards", nil)
	})
}
