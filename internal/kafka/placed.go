package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProducePlaced is [Client.Produce] for records whose Partition says where they
// go: those of dead letters, of which all that belong together lie in one
// partition, whatever their keys are. A partition that the topic does not have
// is an error. The records must not have been produced before.
func (c *Client) ProducePlaced(ctx context.Context, records []*Record) error {
	return c.Produce(context.WithValue(ctx, placedKey{}, true), records)
}

// placedKey marks the contexts of records that name their partition. franz-go
// keeps a record's context beside it.
type placedKey struct{}

func placed(r *Record) bool { return r.Context != nil && r.Context.Value(placedKey{}) != nil }

// partitioner asks another one where records go that do not say it themselves.
type partitioner struct{ others kgo.Partitioner }

// ForTopic is franz-go's.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.others.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

// RequiresConsistency says that the choice is among all partitions, not only
// among those that can be written to at the moment.
func (p topicPartitioner) RequiresConsistency(r *Record) bool {
	return placed(r) || p.TopicPartitioner.RequiresConsistency(r)
}

// Partition is franz-go's.
func (p topicPartitioner) Partition(r *Record, n int) int {
	if placed(r) {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

// OnNewBatch is franz-go's: it moves records without key to another partition.
func (p topicPartitioner) OnNewBatch() {
	if sticky, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		sticky.OnNewBatch()
	}
}
