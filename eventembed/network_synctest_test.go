//go:build synctests

package eventembed_test

import (
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestProduceAndConsumeInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network eventembed.Network
		b := start(t, eventembed.Brokers(3), eventembed.OnNetwork(&network), eventembed.Topics(6, "orders"))
		dial := kgo.Dialer(network.DialContext)
		produce(t, client(t, b, dial), "orders", "a", "b", "c")
		got := consume(t, client(t, b, dial, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g")), 3)
		if len(got) != 3 {
			t.Fatalf("got %v", got)
		}
	})
}
