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
)

// Produce calls one after the other wait for nothing but the brokers: in
// virtual time, where only waiting takes time, two thousand take none.
func TestProduceTakesNoFixedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := new(eventembed.Network)
		broker, err := eventembed.Start(eventembed.OnNetwork(network))
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
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
