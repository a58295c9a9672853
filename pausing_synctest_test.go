//go:build synctests

package events_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// A handler is paused before and while the Library runs, in all of its groups;
// others go on, and nothing is lost.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paused, beside atomic.Int32
		count := func(n *atomic.Int32) eventmodels.HandlerInterface {
			return shipments.Handler(func(context.Context, eventmodels.Event[shipment]) error {
				n.Add(1)
				return nil
			})
		}
		lib := onEmbedded(t, func(lib *eventnodb.Library) {
			for _, group := range []string{"one", "two"} {
				lib.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, "paused", count(&paused))
			}
			lib.ConsumeBroadcast("paused", count(&paused))
			lib.ConsumeIdempotent(events.NewConsumerGroup("three"), eventmodels.OnFailureBlock, "beside", count(&beside))
			if err := lib.Pause("paused"); err != nil {
				t.Error(err)
			}
			var unknown *events.UnknownHandlerError
			if err := lib.Pause("nobody"); !errors.As(err, &unknown) || unknown.Handler != "nobody" || !strings.Contains(err.Error(), "paused, beside") {
				t.Errorf("Pause: %v", err)
			}
			if err := lib.Resume("nobody"); !errors.As(err, &unknown) {
				t.Errorf("Resume: %v", err)
			}
		})
		want := func(when string, n, m int32) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			if paused.Load() != n || beside.Load() != m {
				t.Errorf("%s: %d and %d events, want %d and %d", when, paused.Load(), beside.Load(), n, m)
			}
		}
		ship(t, lib, 100)
		want("paused before the start", 0, 100)
		if err := lib.Resume("paused"); err != nil {
			t.Error(err)
		}
		want("resumed", 300, 100)
		if err := errors.Join(lib.Pause("paused"), lib.Pause("paused")); err != nil {
			t.Error(err)
		}
		ship(t, lib, 100)
		want("paused", 300, 200)
		began := time.Now()
		if err := lib.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		if err := lib.Resume("paused"); err != nil {
			t.Errorf("Resume after Shutdown: %v", err)
		}
		want("stopped", 300, 200)
	})
}
