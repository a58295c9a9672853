package eventembed

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partition is what a broker knows about a partition at one moment.
type Partition struct {
	ID          int32
	Leader      int32 // the node id of its leader
	LeaderEpoch int32 // how often the leader has changed
	Start       int64 // the first offset that is still stored
	Stable      int64 // the offset below which no transaction is open
	End         int64 // the offset that the next record gets
	Bytes       int64 // the size of what is stored
}

// TopicID is the id of a topic. A topic that is deleted and created again has
// another one.
type TopicID = [16]byte

// CreateTopic creates a topic with Kafka's names and values of configurations,
// nil for none. The error wraps kerr.TopicAlreadyExists, kerr.InvalidTopicException
// or another of Kafka's errors.
func (b *Broker) CreateTopic(name string, partitions int, configs map[string]string) error {
	return b.about("create", name, func() error {
		switch {
		case !legalTopic(name):
			return kerr.InvalidTopicException
		case partitions < 1:
			return kerr.InvalidPartitions
		}
		return b.cluster.CreateTopic(name, int32(partitions), configs)
	})
}

// DeleteTopic deletes a topic and the offsets that groups have committed for
// it. The error wraps kerr.UnknownTopicOrPartition if there is none.
func (b *Broker) DeleteTopic(name string) error {
	return b.about("delete", name, func() error { return b.cluster.DeleteTopic(name) })
}

// AddPartitions gives a topic n more partitions. The error wraps
// kerr.UnknownTopicOrPartition if there is no such topic.
func (b *Broker) AddPartitions(topic string, n int) error {
	return b.about("add partitions to", topic, func() error {
		have := len(b.cluster.PartitionInfos(topic))
		if have == 0 {
			return kerr.UnknownTopicOrPartition
		}
		req := kmsg.NewPtrCreatePartitionsRequest()
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = topic, int32(have+n)
		req.Topics = append(req.Topics, t)
		resp, err := b.ask(req)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode)
	})
}

// TopicID is the id of a topic; false if there is none of that name.
func (b *Broker) TopicID(topic string) (TopicID, bool) {
	var info *kfake.TopicInfo
	_ = b.call(func() error { info = b.cluster.TopicInfo(topic); return nil }) // a closed broker has no topics
	if info == nil {
		return TopicID{}, false
	}
	return info.TopicID, true
}

// Partitions describes the partitions of a topic, in the order of their ids.
// The error wraps kerr.UnknownTopicOrPartition if there is no such topic.
func (b *Broker) Partitions(topic string) ([]Partition, error) {
	var partitions []Partition
	err := b.about("describe", topic, func() error {
		for _, p := range b.cluster.PartitionInfos(topic) {
			partitions = append(partitions, Partition{
				ID:          p.Partition,
				Leader:      p.Leader,
				LeaderEpoch: p.Epoch,
				Start:       p.LogStartOffset,
				Stable:      p.LastStableOffset,
				End:         p.HighWatermark,
				Bytes:       p.NumBytes,
			})
		}
		if len(partitions) == 0 {
			return kerr.UnknownTopicOrPartition
		}
		return nil
	})
	return partitions, err
}

// EndOffsets is, by partition, the offset that the next record of a topic
// gets. The error wraps kerr.UnknownTopicOrPartition if there is no such topic.
func (b *Broker) EndOffsets(topic string) (map[int32]int64, error) {
	partitions, err := b.Partitions(topic)
	if err != nil {
		return nil, err
	}
	ends := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		ends[p.ID] = p.End
	}
	return ends, nil
}

// MoveLeader makes a node the leader of a partition and raises the partition's
// leader epoch. No records are lost by it, not even to a node that is cut.
func (b *Broker) MoveLeader(topic string, partition, node int32) error {
	return b.about("move the leader in", topic, func() error {
		return b.cluster.MoveTopicPartition(topic, partition, node)
	})
}

// MoveLeaders gives the partitions that a node leads to the nodes that are not
// cut, in turn: what Kafka does when a broker is gone. It fails when there is
// no other node, or none that is not cut. Groups' coordinators stay; see
// [Broker.MoveCoordinator].
func (b *Broker) MoveLeaders(from int32) error {
	var to []int32
	for _, l := range b.listeners {
		if l.node != from && l.open() {
			to = append(to, l.node)
		}
	}
	if len(to) == 0 {
		return fmt.Errorf("eventembed: move the leaders away from node %d: there is no other node within reach", from)
	}
	return b.call(func() error {
		all := kmsg.NewPtrMetadataRequest()
		all.Topics = nil // says all
		resp, err := b.ask(all)
		if err != nil {
			return fmt.Errorf("eventembed: move the leaders away from node %d: %w", from, err)
		}
		next := 0
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			for _, p := range t.Partitions {
				if p.Leader != from || t.Topic == nil {
					continue
				}
				if err := b.cluster.MoveTopicPartition(*t.Topic, p.Partition, to[next%len(to)]); err != nil {
					return fmt.Errorf("eventembed: move the leader in topic %s: %w", *t.Topic, err)
				}
				next++
			}
		}
		return nil
	})
}

// DeleteRecords removes what a partition stores below an offset, as retention
// does; -1 removes everything. The error wraps kerr.OffsetOutOfRange if the
// offset is above the end.
func (b *Broker) DeleteRecords(topic string, partition int32, below int64) error {
	return b.about("delete records of", topic, func() error {
		return b.cluster.DeleteRecords(topic, partition, below)
	})
}

// Compact runs log compaction now, for the topics with cleanup.policy=compact.
// By itself it runs once an hour.
func (b *Broker) Compact() error {
	return b.call(func() error { b.cluster.Compact(); return nil })
}

// ApplyRetention removes now what is older or more than the topics'
// retention.ms and retention.bytes allow. By itself it runs once an hour, for
// topics that set one of the two.
func (b *Broker) ApplyRetention() error {
	return b.call(func() error { b.cluster.ApplyRetention(); return nil })
}

// about runs fn as a call and says what failed on which topic.
func (b *Broker) about(operation, topic string, fn func() error) error {
	err := b.call(fn)
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("eventembed: %s topic %s: %w", operation, topic, err)
}
