package eventembed_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestCutAndRestore(t *testing.T) {
	var network eventembed.Network
	for name, c := range map[string]struct {
		options []eventembed.Option
		dial    func(context.Context, string, string) (net.Conn, error)
	}{
		"virtual": {[]eventembed.Option{eventembed.OnNetwork(&network)}, network.DialContext},
		"TCP":     {nil, (&net.Dialer{}).DialContext},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, append(c.options, eventembed.Topics(1, "orders"))...)
			addrs := b.Addrs()
			cl := client(t, b, kgo.Dialer(c.dial), kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }))
			produce(t, cl, "orders", "a")

			if err := b.Cut(); err != nil {
				t.Fatal(err)
			}
			if err := b.Cut(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.dial(t.Context(), "tcp", addrs[0]); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("got %v", err)
			}
			done := send(t.Context(), cl, "orders", "b")
			// A request that needs no partition fails when its retries end.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := cl.Ping(ctx); err == nil {
				t.Fatal("a broker that is cut answers")
			}
			expectStored(t, b, "orders", "a")

			if err := b.Restore(); err != nil {
				t.Fatal(err)
			}
			if err := b.Restore(); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, done); err != nil {
				t.Fatal(err)
			}
			expectStored(t, b, "orders", "a", "b")
			expect(t, "address", b.Addrs()[0], addrs[0])
		})
	}
}

func TestCutOneNodeOfThree(t *testing.T) {
	b := start(t, eventembed.Brokers(3), eventembed.Topics(1, "orders"))
	if err := b.MoveLeader("orders", 0, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Cut(1); err != nil {
		t.Fatal(err)
	}
	cl := client(t, b)
	done := send(t.Context(), cl, "orders", "a")
	if err := cl.Ping(within(t)); err != nil {
		t.Fatalf("the other nodes do not answer: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("a partition without reachable leader took a record: %v", err)
	default:
	}
	if err := b.MoveLeader("orders", 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
	partitions, err := b.Partitions("orders")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "leader", partitions[0].Leader, 2)
	expect(t, "leader epoch", partitions[0].LeaderEpoch, 2)
}

func TestTheOtherNodesTakeOver(t *testing.T) {
	b := start(t, eventembed.Brokers(3), eventembed.Topics(6, "orders"), eventembed.Topics(6, "other"))
	if err := b.Cut(0, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.MoveLeaders(0); err != nil {
		t.Fatal(err)
	}
	if err := b.MoveLeaders(1); err != nil {
		t.Fatal(err)
	}
	if err := b.MoveLeaders(2); err == nil {
		t.Error("leaders moved to nodes that are cut")
	}
	for _, topic := range []string{"orders", "other"} {
		partitions, err := b.Partitions(topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range partitions {
			expect(t, topic, p.Leader, 2)
		}
	}
	produce(t, client(t, b), "orders", "a")
	for b.Coordinator("g") != 2 {
		b.MoveCoordinator("g")
	}
	consume(t, client(t, b, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders")), 1)

	if err := start(t).MoveLeaders(0); err == nil {
		t.Error("leaders moved to no other node")
	}
}

func TestCutAndRestoreErrors(t *testing.T) {
	b := start(t, eventembed.Brokers(2))
	if b.Cut(2) == nil || b.Cut(-1) == nil || b.Restore(0, 5) == nil {
		t.Error("a node that does not exist was accepted")
	}
	if err := b.Cut(); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", b.Addrs()[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	taken.Close()
	if err := b.Restore(); err != nil {
		t.Error(err)
	}
	b.Close()
	if err := b.Restore(); !errors.Is(err, eventembed.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
