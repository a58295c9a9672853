//go:build synctests

package events_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// consumer is a Library with a handler of shipments in the group "g".
func consumer(dial func(context.Context, string, string) (net.Conn, error), brokers []string, handle func(context.Context) error) *eventnodb.Library {
	lib := eventnodb.New()
	lib.SkipNotifierSupport()
	lib.SetDialer(dial)
	lib.SetLogger(slog.New(slog.DiscardHandler))
	lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "handler", shipments.Handler(func(ctx context.Context, _ eventmodels.Event[shipment]) error {
		return handle(ctx)
	}))
	lib.ConfigureNoDB(nil, false, nil, nil, brokers)
	return lib
}

// While the brokers do not answer, a service can be stopped in the middle of
// StartConsuming: that is neither an error nor a panic, and takes no time.
func TestStoppedBeforeItHasStarted(t *testing.T) {
	for name, stop := range map[string]func(lib interface{ Shutdown(context.Context) error }, cancel func()){
		"ctx":      func(_ interface{ Shutdown(context.Context) error }, cancel func()) { cancel() },
		"Shutdown": func(lib interface{ Shutdown(context.Context) error }, _ func()) { lib.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				away := func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				lib := consumer(away, []string{"away:9092"}, func(context.Context) error { return nil })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				go func() {
					time.Sleep(time.Second)
					stop(lib, cancel)
				}()
				<-lib.StartConsumingOrPanic(ctx)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
				if err := lib.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A shutdown that is cut short because a handler hangs leaves the group all the
// same, so that others need not wait for the end of the session.
func TestCutShortLeavesTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, network := startInBubble(t)
		hung, release := make(chan struct{}), make(chan struct{})
		first := consumer(network.DialContext, broker.Addrs(), func(context.Context) error {
			close(hung)
			<-release
			return nil
		})
		defer close(release)
		first.StartConsumingOrPanic(t.Context())
		if err := first.Produce(t.Context(), eventmodels.ProduceImmediate, shipments.Event("k", shipment{1})); err != nil {
			t.Fatal(err)
		}
		<-hung
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Shutdown(ctx); err == nil {
			t.Error("nothing was abandoned")
		}
		handled := make(chan struct{})
		second := consumer(network.DialContext, broker.Addrs(), func(context.Context) error {
			close(handled)
			return nil
		})
		began := time.Now()
		second.StartConsumingOrPanic(t.Context())
		<-handled
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the next member has got the event after %v", took)
		}
		if err := second.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
