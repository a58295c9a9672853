package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

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
		fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}}, answer)
		// The one before has made it join again, during which it owns nothing.
		eventually(t, answer.Message, func() bool {
			err := m.Commit(timeout(t), offsets)
			if !errors.Is(err, ErrNotOwner) {
				t.Fatalf("%v: %v", answer.Message, err)
			}
			return errors.Is(err, answer)
		})
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
