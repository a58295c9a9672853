package eventembed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestGroupIsSeenAsItIs(t *testing.T) {
	b := start(t, eventembed.Brokers(3), eventembed.Topics(2, "orders"), eventembed.Config("group.min.session.timeout.ms", "500"))
	if _, ok := b.Group("billing"); ok {
		t.Fatal("a group that nobody has joined")
	}
	expect(t, "committed", b.Committed("billing", "orders", 0), -1)
	produceTo(t, b, "orders", 1, "a")

	cl := client(t, b, kgo.ClientID("one"), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(time.Second), kgo.HeartbeatInterval(200*time.Millisecond))
	consume(t, cl, 1)
	g, err := b.WaitForGroup(within(t), "billing", func(g eventembed.Group) bool { return g.State == "Stable" })
	if err != nil {
		t.Fatal(err)
	}
	if g.Name != "billing" || len(g.Members) != 1 || g.Members[0].ClientID != "one" || len(g.Members[0].Assigned["orders"]) != 2 {
		t.Fatalf("got %+v", g)
	}
	if err := cl.CommitUncommittedOffsets(within(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, "committed", b.Committed("billing", "orders", 1), 1)
	expect(t, "committed", b.Committed("billing", "orders", 0), -1)
	g, _ = b.Group("billing")
	if c := g.Committed["orders"][1]; c.Offset != 1 || c.At.IsZero() {
		t.Fatalf("got %+v", c)
	}

	before := b.Coordinator("billing")
	if before < 0 || before > 2 {
		t.Errorf("coordinator %d", before)
	}
	after := b.MoveCoordinator("billing")
	if after < 0 || after > 2 || after == before || after != b.Coordinator("billing") {
		t.Errorf("the coordinator moved from %d to %d and is %d", before, after, b.Coordinator("billing"))
	}
	cl.Close()
	if _, err := b.WaitForGroup(within(t), "billing", func(g eventembed.Group) bool { return len(g.Members) == 0 }); err != nil {
		t.Fatal(err)
	}
}

func TestTheCoordinatorOfASingleBrokerStays(t *testing.T) {
	b := start(t)
	expect(t, "coordinator", b.MoveCoordinator("g"), 0)
	b.Close()
	expect(t, "coordinator after Close", b.MoveCoordinator("g"), -1)
}

func TestWaitForGroupEnds(t *testing.T) {
	b := start(t)
	never := func(eventembed.Group) bool { return false }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.WaitForGroup(ctx, "none", never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.Close()
	if _, err := b.WaitForGroup(t.Context(), "none", never); !errors.Is(err, eventembed.ErrClosed) {
		t.Errorf("got %v", err)
	}
	expect(t, "coordinator", b.Coordinator("none"), -1)
}
