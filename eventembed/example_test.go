package eventembed_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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

// A cluster as a service's environment may have it: three brokers, a user, and
// settings of Kafka's.
func ExampleStart() {
	broker, err := eventembed.Start(
		eventembed.Brokers(3),
		eventembed.Port(0), // free ones
		eventembed.ClusterID("shop"),
		eventembed.User("SCRAM-SHA-256", "shop", "secret"),
		eventembed.Config("group.min.session.timeout.ms", "1000"),
		eventembed.AutoCreateTopics(),
		eventembed.Logger(slog.New(slog.DiscardHandler)))
	must(err)
	fmt.Println(len(broker.Addrs()), "brokers")
	must(broker.Close())
	// Output: 3 brokers
}

// Topics, seen and changed as by an administrator.
func ExampleBroker_CreateTopic() {
	broker := eventembed.MustStart(eventembed.Brokers(2))
	defer broker.Close()
	must(broker.CreateTopic("orders", 1, map[string]string{"cleanup.policy": "compact"}))
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DefaultProduceTopic("orders"))
	must(err)
	defer client.Close()
	for _, value := range []string{"new", "paid", "sent"} {
		must(client.ProduceSync(context.Background(), &kgo.Record{Key: []byte("order 1"), Value: []byte(value)}).FirstErr())
	}
	ends, err := broker.EndOffsets("orders")
	must(err)
	fmt.Println("ends at", ends[0])

	must(broker.MoveLeader("orders", 0, 1))
	must(broker.MoveLeaders(1)) // as if broker 1 was lost
	must(broker.DeleteRecords("orders", 0, 2))
	must(broker.ApplyRetention())
	must(broker.Compact())
	must(broker.AddPartitions("orders", 1))
	partitions, err := broker.Partitions("orders")
	must(err)
	_, known := broker.TopicID("orders")
	fmt.Println(len(partitions), "partitions, the first from", partitions[0].Start, known)
	must(broker.DeleteTopic("orders"))
	// Output:
	// ends at 3
	// 2 partitions, the first from 2 true
}

// A consumer group, as the brokers see it.
func ExampleBroker_WaitForGroup() {
	broker := eventembed.MustStart(eventembed.Topics(1, "orders"))
	defer broker.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"))
	must(err)
	defer client.Close()
	group, err := broker.WaitForGroup(context.Background(), "billing", func(g eventembed.Group) bool { return g.State == "Stable" })
	must(err)
	fmt.Println(len(group.Members), "member,", "committed:", broker.Committed("billing", "orders", 0))

	fmt.Println("coordinator:", broker.Coordinator("billing") == broker.MoveCoordinator("billing")) // there is only one broker
	group, known := broker.Group("billing")
	fmt.Println(group.Name, known)
	// Output:
	// 1 member, committed: -1
	// coordinator: true
	// billing true
}

// What can happen to a request, beside that its answer is lost.
func ExampleMatch() {
	broker := eventembed.MustStart(eventembed.Topics(1, "orders"))
	defer broker.Close()
	produce := eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: "orders"}
	first := produce
	first.Count = 1
	broker.Drop(first)                       // the connection ends, nothing is done
	broker.Delay(first, 10*time.Millisecond) // it waits
	stalled := broker.StallResponse(produce) // it is done, and the answer waits
	before := broker.Stall(eventembed.Match{Group: "nobody"})
	seen := broker.Observe(produce)

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.MetadataMinAge(10*time.Millisecond))
	must(err)
	defer client.Close()
	done := make(chan error)
	go func() {
		done <- client.ProduceSync(context.Background(), &kgo.Record{Topic: "orders", Value: []byte("3 apples")}).FirstErr()
	}()
	must(stalled.Wait(context.Background(), 1))
	stalled.Remove()
	must(<-done)
	fmt.Println(seen.Hits() > 0, before.Hits())
	// Output: true 0
}

// One client's network. NewDialer is for TCP, also to a real cluster.
func ExampleNewDialer() {
	broker := eventembed.MustStart(eventembed.Topics(1, "orders"))
	defer broker.Close()
	cable := eventembed.NewDialer("shop", new(net.Dialer).DialContext)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.Dialer(cable.DialContext))
	must(err)
	defer client.Close()

	cable.SetLatency(time.Millisecond)
	must(client.Ping(context.Background()))
	fmt.Println("connected:", cable.Conns() > 0)
	cable.Stall()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	fmt.Println("stalled:", client.Ping(ctx) != nil)
	cable.Restore()
	// Output:
	// connected: true
	// stalled: true
}
