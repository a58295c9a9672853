package kafka

import (
	"testing"
)

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
