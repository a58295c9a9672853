package eventembed

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Group is what the cluster knows about a consumer group at one moment.
type Group struct {
	Name  string
	State string // Kafka's name for it: Empty, PreparingRebalance, CompletingRebalance, Stable, ...
	Epoch int32  // the generation, or the group epoch under KIP-848

	Members   []Member                    // by ID
	Committed map[string]map[int32]Commit // by topic and partition
}

// Member is one member of a consumer group.
type Member struct {
	ID       string
	ClientID string
	Assigned map[string][]int32 // partitions by topic
}

// Commit is an offset that a group has committed.
type Commit struct {
	Offset      int64
	LeaderEpoch int32 // -1 if the commit had none
	Metadata    string
	At          time.Time
}

// Group describes a consumer group; false if the cluster does not know it.
func (b *Broker) Group(name string) (Group, bool) {
	var info *kfake.GroupInfo
	_ = b.call(func() error { info = b.cluster.GroupInfo(name); return nil }) // a closed broker has no groups
	if info == nil {
		return Group{}, false
	}
	return newGroup(info), true
}

// Committed is the offset that a group has committed for a partition, -1 for
// none.
func (b *Broker) Committed(group, topic string, partition int32) int64 {
	g, _ := b.Group(group)
	if c, ok := g.Committed[topic][partition]; ok {
		return c.Offset
	}
	return -1
}

// WaitForGroup returns a group as soon as ok says that it is as wanted; ok
// gets the zero Group while there is none of the name. The group is looked at
// every 10 ms. It returns ctx's error when ctx is done first, with the group
// as it is then, and [ErrClosed] when the broker is closed.
func (b *Broker) WaitForGroup(ctx context.Context, name string, ok func(Group) bool) (Group, error) {
	for {
		g, _ := b.Group(name)
		if ok(g) {
			return g, nil
		}
		timer := time.NewTimer(10 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return g, ctx.Err()
		case <-b.done:
			timer.Stop()
			return g, ErrClosed
		}
	}
}

// Coordinator is the node id of a group's coordinator, -1 after Close.
func (b *Broker) Coordinator(group string) int32 {
	node := int32(-1)
	_ = b.call(func() error { node = b.cluster.CoordinatorFor(group); return nil }) // -1 says it
	return node
}

// MoveCoordinator gives a group another coordinator, so that clients must look
// for it again, and returns its node id. Other groups' coordinators may move
// as well. In a cluster of one node nothing moves. After Close it returns -1.
func (b *Broker) MoveCoordinator(group string) int32 {
	before := b.Coordinator(group)
	for len(b.listeners) > 1 {
		b.cluster.RehashCoordinators()
		if now := b.Coordinator(group); now != before || now < 0 {
			return now
		}
	}
	return before
}

func newGroup(info *kfake.GroupInfo) Group {
	g := Group{
		Name:      info.Group,
		State:     info.State,
		Epoch:     info.Epoch,
		Committed: make(map[string]map[int32]Commit),
	}
	for _, m := range info.Members {
		g.Members = append(g.Members, Member{ID: m.MemberID, ClientID: m.ClientID, Assigned: m.Assignment})
	}
	for topic, partitions := range info.Commits {
		commits := make(map[int32]Commit, len(partitions))
		for p, c := range partitions {
			commits[p] = Commit{Offset: c.Offset, LeaderEpoch: c.LeaderEpoch, Metadata: c.Metadata, At: c.At}
		}
		g.Committed[topic] = commits
	}
	return g
}
