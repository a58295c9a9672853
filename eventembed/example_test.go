package eventembed_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// must is what an example does with errors.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func Example() {
	broker := eventembed.MustStart(eventembed.Topics(1, "orders"))
	defer broker.Close()

	// Any Kafka client will do.
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	must(err)
	defer client.Close()
	record := &kgo.Record{Topic: "orders", Key: []byte("order 1"), Value: []byte("3 apples")}
	must(client.ProduceSync(context.Background(), record).FirstErr())

	records, err := broker.Records("orders")
	must(err)
	for _, r := range records {
		fmt.Printf("%s: %s\n", r.Key, r.Value)
	}
	// Output: order 1: 3 apples
}

// The answer to a produce request is lost: the broker has the record, the
// producer does not know, and one that is not idempotent writes it again.
func ExampleBroker_DropResponse() {
	broker := eventembed.MustStart(eventembed.Topics(1, "orders"))
	defer broker.Close()
	lost := broker.DropResponse(eventembed.Match{
		Requests: []kmsg.Key{kmsg.Produce},
		Topic:    "orders",
		Count:    1,
	})

	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker.Addrs()...),
		kgo.DisableIdempotentWrite(),
		kgo.MetadataMinAge(10*time.Millisecond), // how long to wait after a lost connection
	)
	must(err)
	defer client.Close()
	must(client.ProduceSync(context.Background(), &kgo.Record{Topic: "orders", Value: []byte("3 apples")}).FirstErr())

	records, err := broker.Records("orders")
	must(err)
	fmt.Println(lost.Hits(), "answer lost,", len(records), "records stored")
	// Output: 1 answer lost, 2 records stored
}

// Two instances of a service, of which one can be cut off from the brokers.
// The same works under testing/synctest.
func ExampleNetwork_Dialer() {
	var network eventembed.Network
	broker := eventembed.MustStart(eventembed.OnNetwork(&network), eventembed.Topics(1, "orders"))
	defer broker.Close()

	instance := func(name string) (*kgo.Client, *eventembed.Dialer) {
		cable := network.Dialer(name)
		client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.Dialer(cable.DialContext))
		must(err)
		return client, cable
	}
	one, cable := instance("one")
	defer one.Close()
	two, _ := instance("two")
	defer two.Close()

	cable.Cut()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fmt.Println("one reaches the broker:", one.Ping(ctx) == nil)
	fmt.Println("two reaches the broker:", two.Ping(ctx) == nil)
	cable.Restore()
	fmt.Println("one reaches the broker:", one.Ping(context.Background()) == nil)
	// Output:
	// one reaches the broker: false
	// two reaches the broker: true
	// one reaches the broker: true
}
