//go:build synctests

package eventembed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// virtual runs a test in virtual time with three brokers on a network.
func virtual(t *testing.T, run func(*testing.T, *eventembed.Broker, *eventembed.Network)) {
	synctest.Test(t, func(t *testing.T) {
		var network eventembed.Network
		run(t, start(t, eventembed.Brokers(3), eventembed.OnNetwork(&network), eventembed.Topics(4, "orders")), &network)
	})
}

func TestProduceAndConsumeInVirtualTime(t *testing.T) {
	virtual(t, func(t *testing.T, b *eventembed.Broker, network *eventembed.Network) {
		dial := kgo.Dialer(network.DialContext)
		produce(t, client(t, b, dial), "orders", "a", "b", "c")
		got := consume(t, client(t, b, dial, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g")), 3)
		expect(t, "records", len(got), 3)
		expect(t, "records that are stored", len(stored(t, b, "orders")), 3)
	})
}

func TestDelayAndLatencyTakeTheirTime(t *testing.T) {
	virtual(t, func(t *testing.T, b *eventembed.Broker, network *eventembed.Network) {
		far := network.Dialer("far")
		cl := client(t, b, kgo.Dialer(far.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		took := func() time.Duration {
			begin := time.Now()
			produce(t, cl, "orders", "x")
			return time.Since(begin)
		}
		took() // connects
		expect(t, "without", took(), 0)
		m := onlyProduce("orders")
		m.Count = 1
		delay := b.Delay(m, 2*time.Second)
		expect(t, "delayed", took(), 2*time.Second)
		expect(t, "hits", delay.Hits(), 1)
		far.SetLatency(150 * time.Millisecond)
		expect(t, "over a slow connection", took(), 300*time.Millisecond)
		far.SetLatency(0)
		expect(t, "after", took(), 0)

		long := b.Delay(onlyProduce("orders"), time.Hour)
		go func() {
			time.Sleep(time.Second)
			long.Remove()
		}()
		expect(t, "a delay that is removed", took(), time.Second)
	})
}

// An instance that the network has swallowed loses its partitions when its
// session ends, and gets some back when the network is there again.
func TestAStalledInstanceLosesItsPartitionsAndComesBack(t *testing.T) {
	virtual(t, func(t *testing.T, b *eventembed.Broker, network *eventembed.Network) {
		const session = 10 * time.Second
		assigned := func(clientID string) func(eventembed.Group) bool {
			return func(g eventembed.Group) bool {
				return g.State == "Stable" && len(g.Members) == 1 &&
					g.Members[0].ClientID == clientID && len(g.Members[0].Assigned["orders"]) == 4
			}
		}
		both := func(g eventembed.Group) bool {
			return g.State == "Stable" && len(g.Members) == 2 &&
				len(g.Members[0].Assigned["orders"]) == 2 && len(g.Members[1].Assigned["orders"]) == 2
		}
		wait := func(what string, ok func(eventembed.Group) bool) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			if g, err := b.WaitForGroup(ctx, "g", ok); err != nil {
				t.Fatalf("%s: %v, %+v", what, err, g)
			}
		}
		instance := func(name string) *eventembed.Dialer {
			d := network.Dialer(name)
			cl := client(t, b, kgo.Dialer(d.DialContext), kgo.ClientID(name), kgo.SessionTimeout(session),
				kgo.HeartbeatInterval(time.Second), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"))
			go func() {
				for cl.PollFetches(t.Context()).Err() == nil {
				}
			}()
			return d
		}
		one := instance("one")
		instance("two")
		wait("both", both)
		begin := time.Now()
		one.Stall()
		wait("two alone", assigned("two"))
		if d := time.Since(begin); d < session-2*time.Second || d > session+5*time.Second {
			t.Errorf("the stalled instance was a member for %v", d)
		}
		one.Restore()
		wait("both again", both)
	})
}

func TestClientsComeThroughMinutesOfCuts(t *testing.T) {
	virtual(t, func(t *testing.T, b *eventembed.Broker, network *eventembed.Network) {
		dial := kgo.Dialer(network.DialContext)
		prod := client(t, b, dial)
		cons := client(t, b, dial, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"))
		produce(t, prod, "orders", "x") // a client gives up early on a topic that it has never seen
		begin := time.Now()
		for i := range 30 {
			node := int32(i % 3)
			if err := b.Cut(node); err != nil {
				t.Fatal(err)
			}
			done := send(t.Context(), prod, "orders", "x")
			time.Sleep(20 * time.Second)
			if err := b.Restore(node); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, done); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, "records", len(consume(t, cons, 31)), 31)
		if d := time.Since(begin); d < 10*time.Minute {
			t.Errorf("only %v have passed", d)
		}
	})
}

// A bubble ends only when all its goroutines have; what is held must not keep
// them.
func TestABubbleEndsWithWhatIsStillHeld(t *testing.T) {
	virtual(t, func(t *testing.T, b *eventembed.Broker, network *eventembed.Network) {
		dial := kgo.Dialer(network.DialContext)
		plain := kgo.DisableIdempotentWrite()
		ctx, cancel := context.WithCancel(t.Context())
		stall := b.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, ClientID: "one"})
		stallResponse := b.StallResponse(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, ClientID: "two"})
		delay := b.Delay(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, ClientID: "three"}, time.Hour)
		var results []<-chan error
		for _, id := range []string{"one", "two", "three"} {
			results = append(results, send(ctx, client(t, b, dial, plain, kgo.ClientID(id)), "orders", "x"))
		}
		reach(t, stall, 1)
		reach(t, stallResponse, 1)
		reach(t, delay, 1)
		b.Close()
		cancel()
		for _, r := range results {
			if receive(t, r) == nil {
				t.Error("a request that was held has succeeded")
			}
		}
	})
}
