//go:build synctests

package events_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// startInBubble starts a broker and the network that leads to it inside the
// test's bubble.
func startInBubble(t *testing.T) (*eventembed.Broker, *eventembed.Network) {
	t.Helper()
	network := new(eventembed.Network)
	broker, err := eventembed.Start(eventembed.OnNetwork(network))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	return broker, network
}

// sqliteOn is a quiet Library on the network, not configured yet.
func sqliteOn(network *eventembed.Network) *eventsqlite.Library {
	lib := eventsqlite.NewLibrary()
	lib.SkipNotifierSupport()
	lib.SetDialer(network.DialContext)
	lib.SetLogger(slog.New(slog.DiscardHandler))
	return lib
}

// Produce calls one after the other wait for nothing but the brokers: in
// virtual time, where only waiting takes time, two thousand take none.
func TestProduceTakesNoFixedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, network := startInBubble(t)
		lib := eventnodb.New()
		lib.SetDialer(network.DialContext)
		lib.SetLogger(slog.New(slog.DiscardHandler))
		lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
		defer lib.Shutdown(context.Background())
		produce := func() {
			if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, shipments.Event("k", shipment{1})); err != nil {
				t.Fatal(err)
			}
		}
		produce() // creates the topic
		began := time.Now()
		for range 2000 {
			produce()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("2000 calls waited %v", took)
		}
	})
}
