package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kadm"
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

func TestGroupCommitErrors(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	c.write(t, "t", 0, "v")
	m := join(t, c.groupConfig(t, "g", "t"))
	m.waitValues(t, "v")
	offsets := map[TopicPartition]Offset{{"t", 0}: {At: 1, LeaderEpoch: -1}}
	for answer, want := range map[*kerr.Error]error{
		kerr.RebalanceInProgress:      ErrRebalancing,
		kerr.OffsetMetadataTooLarge:   kerr.OffsetMetadataTooLarge,
		kerr.GroupAuthorizationFailed: kerr.GroupAuthorizationFailed,
	} {
		fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}}, answer)
		if err := m.Commit(timeout(t), offsets); !errors.Is(err, want) || errors.Is(err, ErrNotOwner) {
			t.Errorf("%v: %v", answer.Message, err)
		}
		fault.Remove()
	}
	// A coordinator that moves is found again.
	fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}, Count: 2}, kerr.NotCoordinator)
	if err := m.Commit(timeout(t), offsets); err != nil || fault.Hits() == 0 {
		t.Errorf("coordinator moved: %v", err)
	}
	for _, answer := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedInstanceID} {
		m.wait(t, "the partition is assigned", func() bool { return m.owned[TopicPartition{"t", 0}] })
		fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}, Count: 1}, answer)
		if err := m.Commit(timeout(t), offsets); !errors.Is(err, ErrNotOwner) || !errors.Is(err, answer) {
			t.Errorf("%v: %v", answer.Message, err)
		}
		fault.Remove()
	}
	m.wait(t, "the partition is assigned", func() bool { return m.owned[TopicPartition{"t", 0}] })
	stall := c.embed.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}})
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- m.Commit(ctx, offsets) }()
	if err := stall.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := receive(t, "the commit's return", result); !errors.Is(err, context.Canceled) {
		t.Errorf("ctx ended: %v", err)
	}
	stall.Remove()
}

// A member that was thrown out and does not know it yet.
func TestGroupFormerMember(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		c.write(t, topic, 0, "v")
		cfg := c.groupConfig(t, group, topic)
		cfg.HeartbeatInterval = 2 * time.Second // it will not know it for a while
		m := join(t, cfg)
		m.waitValues(t, "v")
		id, _ := m.kgo.GroupMetadata()
		leave := kmsg.NewPtrLeaveGroupRequest()
		member := kmsg.NewLeaveGroupRequestMember()
		leave.Group, leave.MemberID, member.MemberID = group, id, id
		leave.Members = append(leave.Members, member)
		if _, err := leave.RequestWith(timeout(t), c.kgo); err != nil {
			t.Fatal(err)
		}
		next := m.positions()
		err := m.Commit(timeout(t), next)
		if !errors.Is(err, ErrNotOwner) {
			t.Errorf("commit: %v", err)
		}
		m.wait(t, "it lost the partition and joined again", func() bool {
			return slices.Contains(m.calls, "lost 0") && m.calls[len(m.calls)-1] == "assigned 0"
		})
		m.waitValues(t, "v", "v")
		if err := m.Commit(timeout(t), next); err != nil {
			t.Errorf("commit after joining again: %v", err)
		}
	})
}

// Aborted records and transaction markers: nobody sees them, and the position
// comes to the end.
func TestGroupPassesTransactions(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		want := c.transactions(t, topic)
		m := join(t, c.groupConfig(t, group, topic))
		m.waitValues(t, want...)
		client := c.client(t)
		ends, err := client.EndOffsets(timeout(t), []WireTopic{topic})
		if err != nil {
			t.Fatal(err)
		}
		tp := TopicPartition{topic, 0}
		m.wait(t, "the position is at the end", func() bool { return m.next[tp].At == ends[tp] })
		if err := m.Commit(timeout(t), m.positions()); err != nil {
			t.Fatal(err)
		}
		committed, err := client.CommittedOffsets(timeout(t), group)
		if err != nil || committed[tp].At != ends[tp] {
			t.Errorf("committed %v of %v: %v", committed, ends, err)
		}
	})
}

// transactions writes aborted and committed transactions, ends with an aborted
// one, and returns what can be read.
func (c *cluster) transactions(t *testing.T, topic WireTopic) (committed []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID(string(newName("tx"))),
		kgo.DefaultProduceTopic(string(topic)), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := timeout(t)
	for i, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 5 {
			v := fmt.Sprintf("tx%d-%d", i, j)
			if err := client.ProduceSync(ctx, kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if end == kgo.TryCommit {
				committed = append(committed, v)
			}
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	return committed
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

func TestGroupBelowLogStart(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		tp := TopicPartition{topic, 0}
		c.write(t, topic, 0, values(10, "v%d")...)
		c.commit(t, group, tp, 2)
		c.removeBelow(t, topic, 0, 5)
		m := join(t, c.groupConfig(t, group, topic))
		m.waitValues(t, values(10, "v%d")[5:]...)
		m.wait(t, "the gap", func() bool { return len(m.gaps) == 1 })
		if m.gaps[0] != (Gap{tp, 2, 5}) {
			t.Errorf("gap %v", m.gaps[0])
		}
	})
}

// More is committed than there is, and nobody knows why: better again than
// never.
func TestGroupBeyondEnd(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		c.write(t, topic, 0, values(3, "v%d")...)
		c.commit(t, group, TopicPartition{topic, 0}, 100)
		m := join(t, c.groupConfig(t, group, topic))
		m.waitValues(t, values(3, "v%d")...)
	})
}

// commit commits an offset of a group without members.
func (c *cluster) commit(t *testing.T, group string, tp TopicPartition, at int64) {
	t.Helper()
	os := make(kadm.Offsets)
	os.AddOffset(string(tp.Topic), tp.Partition, at, -1)
	if err := c.adm.CommitAllOffsets(timeout(t), group, os); err != nil {
		t.Fatal(err)
	}
}

func TestGroupStart(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		tp := TopicPartition{topic, 0}
		old, middle := time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		for _, r := range []*kgo.Record{
			{Value: []byte("old"), Timestamp: old},
			{Value: []byte("middle"), Timestamp: middle},
			{Value: []byte("young"), Timestamp: middle.Add(time.Minute)},
		} {
			r.Topic = string(topic)
			if err := c.kgo.ProduceSync(timeout(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		client := c.client(t)
		for _, test := range []struct {
			name  string
			start Start
			at    int64
			want  []string
		}{
			{"earliest", Earliest, -1, []string{"old", "middle", "young", "end"}},
			{"time", From(middle), 1, []string{"middle", "young", "end"}},
			{"latest", Latest, 3, []string{"end"}},
		} {
			group := string(newName("g"))
			cfg := c.groupConfig(t, group, topic)
			cfg.Starts = map[WireTopic]Start{topic: test.start}
			m := join(t, cfg)
			m.wait(t, "assigned", func() bool { return m.owned[tp] })
			if test.at >= 0 {
				// Where it starts stays, also for a member that comes later.
				eventually(t, "the start is committed", func() bool {
					committed, err := client.CommittedOffsets(timeout(t), group)
					return err == nil && committed[tp].At == test.at
				})
				m.Close()
				m = join(t, cfg)
			}
			if test.name == "latest" {
				c.write(t, topic, 0, "end")
			} else {
				test.want = slices.DeleteFunc(test.want, func(v string) bool { return v == "end" })
			}
			m.waitValues(t, test.want...)
			m.Close()
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

func TestGroupTopicsAddedAndMissing(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "a", "b"))
	c.write(t, "a", 0, "a")
	c.write(t, "b", 0, "b")
	m := join(t, c.groupConfig(t, "g", "a", "missing"))
	m.waitValues(t, "a")
	m.AddTopics("b", "a")
	m.waitValues(t, "a", "b")
	if err := c.embed.CreateTopic("missing", 1, nil); err != nil {
		t.Fatal(err)
	}
	c.write(t, "missing", 0, "c")
	m.waitValues(t, "a", "b", "c")
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

func TestGroupReportsTruncation(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	m := join(t, c.groupConfig(t, "g", "t"))
	m.report(kgo.NewErrFetch(&kgo.ErrDataLoss{Topic: "t", Partition: 0, ConsumedTo: 10, ResetTo: 4}))
	// NewErrFetch has no topic of its own.
	if want := (Truncation{TopicPartition{"", -1}, 10, 4}); len(m.truncs) != 1 || m.truncs[0] != want {
		t.Errorf("told %v", m.truncs)
	}
}

func TestCommittedOffsetsOfUnknownGroup(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		offsets, err := c.client(t).CommittedOffsets(timeout(t), string(newName("nobody")))
		if err != nil || len(offsets) != 0 {
			t.Errorf("%v, %v", offsets, err)
		}
	})
}

func TestEndOffsets(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 2)
		c.write(t, topic, 1, "a", "b")
		client := c.client(t)
		ends, err := client.EndOffsets(timeout(t), []WireTopic{topic, "no-such-topic"})
		if err != nil || len(ends) != 2 || ends[TopicPartition{topic, 0}] != 0 || ends[TopicPartition{topic, 1}] != 2 {
			t.Errorf("%v, %v", ends, err)
		}
		if ends, err := client.EndOffsets(timeout(t), nil); err != nil || len(ends) != 0 {
			t.Errorf("of no topics: %v, %v", ends, err)
		}
	})
}
