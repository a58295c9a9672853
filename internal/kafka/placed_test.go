package kafka

import (
	"fmt"
	"strings"
	"testing"
)

// A record that names its partition is written there; others of the same topic
// go where their keys say.
func TestProducePlaced(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 3)
		client := c.client(t)
		for n := range 6 {
			place, byKey := record(topic, "key", "v"), record(topic, "key", "v")
			place.Partition = int32(n % 3)
			if err := client.ProducePlaced(timeout(t), []*Record{place}); err != nil {
				t.Fatal(err)
			}
			if err := client.produce(timeout(t), []*Record{byKey}); err != nil {
				t.Fatal(err)
			}
			if place.Partition != int32(n%3) || place.Offset < 0 {
				t.Errorf("the placed record is in partition %d, at %d", place.Partition, place.Offset)
			}
		}
		ends, err := client.EndOffsets(timeout(t), []WireTopic{topic})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(ends[TopicPartition{topic, 0}], ends[TopicPartition{topic, 1}], ends[TopicPartition{topic, 2}]); got != "2 8 2" {
			t.Errorf("the partitions have %s records", got)
		}
		wrong := record(topic, "key", "v")
		wrong.Partition = 3
		if err := client.ProducePlaced(timeout(t), []*Record{wrong}); err == nil || !strings.Contains(err.Error(), "partition") {
			t.Errorf("a partition that the topic does not have: %v", err)
		}
	})
}
