package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestGroupReadsAndCommits(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 2), string(newName("g"))
		c.write(t, topic, 0, values(20, "a%d")...)
		c.write(t, topic, 1, values(5, "b%d")...)
		first := join(t, c.groupConfig(t, group, topic))
		first.waitValues(t, append(values(20, "a%d"), values(5, "b%d")...)...)
		next := first.positions()
		for tp, want := range map[TopicPartition]int64{{topic, 0}: 20, {topic, 1}: 5} {
			if next[tp].At != want {
				t.Errorf("next of %v: %d", tp, next[tp].At)
			}
		}
		if err := first.Commit(timeout(t), next); err != nil {
			t.Fatal(err)
		}
		if err := first.Commit(timeout(t), nil); err != nil {
			t.Errorf("commit of nothing: %v", err)
		}
		first.Close()
		first.Close()
		if _, err := first.Poll(timeout(t), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("poll after close: %v", err)
		}
		committed, err := c.client(t).CommittedOffsets(timeout(t), group)
		if err != nil || committed[TopicPartition{topic, 0}] != next[TopicPartition{topic, 0}] || len(committed) != 2 {
			t.Errorf("committed %v (%v), want %v", committed, err, next)
		}
		c.write(t, topic, 1, "new")
		second := join(t, c.groupConfig(t, group, topic))
		second.waitValues(t, "new")
	})
}

func TestGroupHandsOver(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 2), string(newName("g"))
		c.write(t, topic, 0, values(10, "a%d")...)
		c.write(t, topic, 1, values(10, "b%d")...)
		lost := make(chan Fetched, 1)
		first := join(t, c.groupConfig(t, group, topic), func(m *member) {
			m.onRevoked = func(ctx context.Context, m *member, partitions []TopicPartition) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("Revoked has no deadline")
				}
				for _, tp := range partitions {
					// Less than what was read, to see that the next owner
					// starts exactly there.
					if err := m.Commit(ctx, map[TopicPartition]Offset{tp: {At: 6, LeaderEpoch: -1}}); err != nil {
						t.Errorf("commit while revoked: %v", err)
					}
					m.mu.Lock()
					f := Fetched{TopicPartition: tp, assigned: m.Group.owned[tp]}
					m.mu.Unlock()
					if !f.Stale() {
						t.Error("what was fetched is not stale")
					}
					select {
					case lost <- f:
					default:
					}
				}
			}
		})
		first.waitValues(t, append(values(10, "a%d"), values(10, "b%d")...)...)
		second := join(t, c.groupConfig(t, group, topic))
		moved := receive(t, "a revoked partition", lost)
		format := map[int32]string{0: "a%d", 1: "b%d"}[moved.Partition]
		second.waitValues(t, values(10, format)[6:]...)
		first.wait(t, "the revocation is over", func() bool { return !first.owned[moved.TopicPartition] })

		// A former owner cannot take it back.
		err := first.Commit(timeout(t), map[TopicPartition]Offset{moved.TopicPartition: {At: 2, LeaderEpoch: -1}})
		var commit *CommitError
		if !errors.As(err, &commit) || !errors.Is(commit.Failed[moved.TopicPartition], ErrNotOwner) || !errors.Is(err, ErrNotOwner) {
			t.Errorf("commit by the former owner: %v", err)
		}
		if !moved.Stale() {
			t.Error("what was fetched before is not stale")
		}
		// The partition that stayed was neither revoked nor read again.
		first.mu.Lock()
		defer first.mu.Unlock()
		if len(first.values) != 20 {
			t.Errorf("the first member read %d values", len(first.values))
		}
	})
}

func TestGroupNewPartition(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		for _, start := range []Start{Earliest, Latest} {
			topic, group := c.topic(t, 1), string(newName("g"))
			cfg := c.groupConfig(t, group, topic)
			cfg.Starts = map[WireTopic]Start{topic: start}
			m := join(t, cfg)
			m.wait(t, "assigned", func() bool { return len(m.owned) == 1 })
			if _, err := c.adm.CreatePartitions(timeout(t), 1, string(topic)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the new partition", func() bool {
				c.kgo.ForceMetadataRefresh()
				r := &kgo.Record{Topic: string(topic), Partition: 1, Value: []byte("first")}
				return c.kgo.ProduceSync(timeout(t), r).FirstErr() == nil
			})
			m.waitValues(t, "first")
			m.Close()
		}
	})
}

func TestGroupTopicRecreated(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, other, group := c.topic(t, 1), c.topic(t, 1), string(newName("g"))
		c.write(t, topic, 0, values(5, "old%d")...)
		m := join(t, c.groupConfig(t, group, topic, other))
		m.waitValues(t, values(5, "old%d")...)
		if err := m.Commit(timeout(t), m.positions()); err != nil {
			t.Fatal(err)
		}
		c.delete(t, topic)
		c.create(t, topic, 2)
		c.write(t, topic, 0, values(8, "new%d")...)
		c.write(t, topic, 1, "other partition")
		m.wait(t, "it is told", func() bool { return slices.Equal(m.gone, []WireTopic{topic}) })
		m.mu.Lock()
		if !slices.ContainsFunc(m.calls, func(c string) bool { return strings.HasPrefix(c, "lost 0") }) {
			t.Errorf("calls: %v", m.calls)
		}
		m.mu.Unlock()
		m.waitValues(t, append(append(values(5, "old%d"), values(8, "new%d")...), "other partition")...)
		if err := m.Commit(timeout(t), m.positions()); err != nil {
			t.Errorf("commit of the new topic: %v", err)
		}
		c.write(t, other, 0, "still read")
		m.wait(t, "the other topic is read", func() bool { return slices.Contains(m.values, "still read") })
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.gone) != 1 {
			t.Errorf("told %v", m.gone)
		}
	})
}

func TestGroupSurvivesLostConnection(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		dialer := testDialer()
		cfg := c.groupConfig(t, group, topic)
		cfg.Dialer = dialer.DialContext
		cfg.SessionTimeout = 30 * time.Second
		m := join(t, cfg)
		c.write(t, topic, 0, "before")
		m.waitValues(t, "before")
		dialer.Cut()
		c.write(t, topic, 0, "while away")
		dialer.Restore()
		m.waitValues(t, "before", "while away")
		m.wait(t, "it can commit", func() bool { return m.next[TopicPartition{topic, 0}].At == 2 })
		eventually(t, "commit", func() bool { return m.Commit(timeout(t), m.positions()) == nil })
	})
}

func TestGroupPause(t *testing.T) {
	c := embedded(t, eventembed.Topics(2, "t"))
	m := join(t, c.groupConfig(t, "g", "t"))
	m.wait(t, "assigned", func() bool { return len(m.owned) == 2 })
	paused := []TopicPartition{{"t", 0}}
	m.Pause(paused)
	m.Pause(nil)
	c.write(t, "t", 0, "paused")
	c.write(t, "t", 1, "not paused")
	m.waitValues(t, "not paused")
	m.Resume(nil)
	m.Resume(paused)
	m.waitValues(t, "paused", "not paused")
}

func TestGroupMissingTopic(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "a"))
	c.write(t, "a", 0, "a")
	m := join(t, c.groupConfig(t, "g", "a", "missing"))
	m.waitValues(t, "a")
	if err := c.embed.CreateTopic("missing", 1, nil); err != nil {
		t.Fatal(err)
	}
	c.write(t, "missing", 0, "b")
	m.waitValues(t, "a", "b")
}

func TestGroupSessionError(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	c.write(t, "t", 0, "v")
	fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.JoinGroup}}, kerr.GroupAuthorizationFailed)
	m := join(t, c.groupConfig(t, "g", "t"))
	m.wait(t, "the error is told", func() bool { return len(m.errs) > 0 })
	if err := m.errs[0]; !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("error: %v", err)
	}
	fault.Remove()
	m.waitValues(t, "v")
}

// Members with an eager balancer give up everything in each rebalance.
func TestGroupEagerBalancer(t *testing.T) {
	c := embedded(t, eventembed.Topics(2, "t"))
	cfg := c.groupConfig(t, "g", "t")
	cfg.Balancers = []Balancer{Range()}
	first := join(t, cfg, func(m *member) {
		m.onRevoked = func(ctx context.Context, m *member, _ []TopicPartition) {
			if next := m.positions(); len(next) > 0 {
				if err := m.Commit(ctx, next); err != nil {
					t.Errorf("commit while revoked: %v", err)
				}
			}
		}
	})
	c.write(t, "t", 0, "a")
	c.write(t, "t", 1, "b")
	first.waitValues(t, "a", "b")
	second := join(t, cfg)
	second.wait(t, "assigned", func() bool { return len(second.owned) == 1 })
	first.wait(t, "assigned again", func() bool { return len(first.owned) == 1 && len(first.calls) >= 3 })
	c.write(t, "t", 0, "c")
	c.write(t, "t", 1, "d")
	eventually(t, "both are read", func() bool {
		first.mu.Lock()
		second.mu.Lock()
		defer first.mu.Unlock()
		defer second.mu.Unlock()
		return len(first.values) == 3 && len(second.values) == 1
	})
}

func TestGroupReportsTruncation(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	m := join(t, c.groupConfig(t, "g", "t"))
	m.report(kgo.NewErrFetch(&kgo.ErrDataLoss{Topic: "t", Partition: 0, ConsumedTo: 10, ResetTo: 4}))
	// NewErrFetch has no topic of its own.
	if want := (Truncation{TopicPartition{"", -1}, 10, 4}); len(m.truncs) != 1 || m.truncs[0] != want {
		t.Errorf("told %v", m.truncs)
	}
}
