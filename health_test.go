//go:build synctests

package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

// What Health says, and what a probe gets, from before Configure to after
// Shutdown. In virtual time.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, network := startInBubble(t)
		db := openSQLite(t)
		lib := sqliteOn(network)
		probe := func(path string) (status int, h events.Health) {
			t.Helper()
			w := httptest.NewRecorder()
			lib.HealthHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			return w.Code, h
		}
		expect := func(when string, live, ready int, problem string) events.Health {
			t.Helper()
			status, _ := probe("/health/live")
			if status != live {
				t.Errorf("%s: /live is %d, want %d", when, status, live)
			}
			status, h := probe("/health/ready/")
			if status != ready {
				t.Errorf("%s: /ready is %d, want %d (%v)", when, status, ready, h.Problems)
			}
			if said := strings.Join(h.Problems, "; "); !strings.Contains(said, problem) || problem == "" && said != "" {
				t.Errorf("%s: the problems are %q, want %q", when, said, problem)
			}
			return h
		}
		expect("before Configure", 200, 503, "Configure")

		var fails atomic.Bool
		hang := make(chan struct{})
		orders, hangs := eventmodels.BindTopic[shipment]("health-orders"), eventmodels.BindTopic[shipment]("health-hangs")
		lib.Configure(db, nil, false, nil, nil, broker.Addrs())
		expect("before use", 200, 503, "not in use")
		lib.ConsumeIdempotent(events.NewConsumerGroup("health"), eventmodels.OnFailureBlock, "h", orders.Handler(func(context.Context, eventmodels.Event[shipment]) error {
			if fails.Load() {
				return errors.New("not now")
			}
			return nil
		}))
		lib.ConsumeIdempotent(events.NewConsumerGroup("hangs"), eventmodels.OnFailureDiscard, "hangs", hangs.Handler(func(context.Context, eventmodels.Event[shipment]) error {
			<-hang
			return nil
		}), events.WithTimeout(10*time.Second))
		lib.ConsumeBroadcast("b", orders.Handler(func(context.Context, eventmodels.Event[shipment]) error { return nil }))
		if _, err := lib.CatchUpProduce(context.Background(), time.Second, 100); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		stopped := lib.StartConsumingOrPanic(ctx)
		time.Sleep(20 * time.Second)
		h := expect("idle", 200, 200, "")
		if h.Database == nil || !h.Database.OK || !h.Brokers.OK || h.Relay == nil || !h.Relay.Leading || h.Relay.SampledAt.IsZero() ||
			len(h.Groups) != 2 || h.Groups[1].Group != "health" || h.Groups[1].Partitions != 2 || !h.Groups[1].Joined || h.Broadcast == nil || h.Broadcast.Interval != 10*time.Second {
			t.Errorf("idle: %+v", h)
		}

		produce := func(topic eventmodels.BoundTopic[shipment]) {
			t.Helper()
			if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, topic.Event("k", shipment{1})); err != nil {
				t.Fatal(err)
			}
		}
		fails.Store(true)
		produce(orders)
		time.Sleep(10 * time.Second)
		h = expect("a blocked partition", 200, 200, "takes no events in group health")
		if b := h.Groups[1].Blocked; len(b) != 1 || b[0].Reason != "retrying" || b[0].Handler != "h" {
			t.Errorf("blocked: %+v", b)
		}
		fails.Store(false)
		time.Sleep(time.Minute)
		expect("it goes on", 200, 200, "")

		fault := broker.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Metadata, kmsg.ApiVersions}})
		if h := expect("brokers that do not answer", 200, 503, "the brokers do not answer"); !h.Database.OK {
			t.Error("the database answers")
		}
		fault.Remove()
		time.Sleep(time.Minute)
		expect("brokers that answer again", 200, 200, "")

		produce(hangs)
		time.Sleep(30 * time.Second)
		expect("a handler beyond its timeout", 200, 200, "has not returned")
		time.Sleep(time.Minute)
		expect("a minute later", 503, 200, "has not returned")
		close(hang)
		time.Sleep(time.Second)
		expect("it has returned", 200, 200, "")

		cancel()
		expect("while consuming ends", 200, 503, "consuming has ended")
		<-stopped
		expect("when it has ended", 200, 503, "consuming has ended")
		if err := lib.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		expect("after Shutdown", 200, 503, "stopped")
	})
}
