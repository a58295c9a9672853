package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestGroupLeave(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		c.write(t, topic, 0, "v")
		cfg := c.groupConfig(t, group, topic)
		cfg.SessionTimeout = 5 * time.Minute // leaving is what ends it, not time
		if c.embed != nil {
			cfg.SessionTimeout = 30 * time.Second
		}
		first := join(t, cfg)
		first.waitValues(t, "v")
		if err := first.Commit(timeout(t), first.positions()); err != nil {
			t.Fatal(err)
		}
		if err := first.Leave(timeout(t)); err != nil {
			t.Fatal(err)
		}
		first.wait(t, "revoked", func() bool { return first.calls[len(first.calls)-1] == "revoked 0" })
		if err := first.Commit(timeout(t), map[TopicPartition]Offset{{topic, 0}: {At: 0, LeaderEpoch: -1}}); !errors.Is(err, ErrNotOwner) {
			t.Errorf("commit after leaving: %v", err)
		}
		second := join(t, cfg)
		second.wait(t, "assigned", func() bool { return len(second.owned) == 1 })
		c.write(t, topic, 0, "w")
		second.waitValues(t, "w")
	})
}

// Leaving while a rebalance waits for another member does not wait for that, and
// the rebalance goes on without the one that has left.
func TestGroupLeaveDuringRebalance(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 2), string(newName("g"))
		cfg := c.groupConfig(t, group, topic)
		cfg.Balancers = []Balancer{Range()}
		cfg.RebalanceTimeout = 2 * testTime
		is := func(state string, members int) func() bool {
			return func() bool {
				groups, err := c.adm.DescribeGroups(timeout(t), group)
				return err == nil && groups[group].State == state && len(groups[group].Members) == members
			}
		}
		done := make(chan struct{})
		busy := join(t, cfg, func(m *member) {
			m.onRevoked = func(ctx context.Context, _ *member, _ []TopicPartition) {
				select {
				case <-done:
				case <-ctx.Done():
				}
			}
		})
		busy.wait(t, "assigned", func() bool { return len(busy.owned) == 2 })
		goes := join(t, cfg)
		eventually(t, "the rebalance waits", is("PreparingRebalance", 2))
		if err := goes.Leave(timeout(t)); err != nil {
			t.Error(err)
		}
		goes.Close()
		if !is("PreparingRebalance", 1)() {
			t.Error("the group is not what it was, without one member")
		}
		close(done)
		busy.wait(t, "assigned again", func() bool { return len(busy.calls) == 3 && len(busy.owned) == 2 })
	})
}

// Leaving while the brokers are away, or while Revoked hangs, ends with ctx,
// and Close then ends at once.
func TestGroupLeaveInVain(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	c.write(t, "t", 0, "v")
	m := join(t, c.groupConfig(t, "g", "t"), func(m *member) {
		m.onRevoked = func(ctx context.Context, _ *member, _ []TopicPartition) { <-ctx.Done() }
	})
	m.waitValues(t, "v")
	if err := c.embed.Cut(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := m.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("leave: %v", err)
	}
	m.Close()
}

// A static member that comes back within the session timeout has its partition
// again, and nobody else was disturbed.
func TestGroupStaticMember(t *testing.T) {
	c := embedded(t, eventembed.Topics(2, "t"))
	cfg := func(id string) GroupConfig {
		cfg := c.groupConfig(t, "g", "t")
		cfg.InstanceID, cfg.SessionTimeout = id, 30*time.Second
		return cfg
	}
	stays, goes := join(t, cfg("stays")), join(t, cfg("goes"))
	one := func(m *member) func() bool { return func() bool { return len(m.owned) == 1 } }
	stays.wait(t, "one partition", one(stays))
	goes.wait(t, "one partition", one(goes))
	stays.mu.Lock()
	before := strings.Join(stays.calls, ",")
	stays.mu.Unlock()
	goes.Close()
	back := join(t, cfg("goes"))
	back.wait(t, "its partition", one(back))
	stays.mu.Lock()
	defer stays.mu.Unlock()
	if after := strings.Join(stays.calls, ","); after != before {
		t.Errorf("the other member was told %s, then %s", before, after)
	}
}
