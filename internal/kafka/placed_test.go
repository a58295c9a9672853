package kafka

import (
	"errors"
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
		err = client.ProducePlaced(timeout(t), []*Record{wrong})
		if !errors.Is(err, ErrUnknownTopic) || !strings.HasSuffix(err.Error(), "the topic has no partition 3") {
			t.Errorf("a partition that the topic does not have: %v", err)
		}
	})
}

// Records of a call that belong in one partition are one batch: those of a bulk
// operation do not wait for the first of them.
func TestPlacedTogether(t *testing.T) {
	c := embedded(t)
	topic := c.topic(t, 2)
	client := c.client(t)
	place := func(partitions ...int32) (batches uint64) {
		t.Helper()
		var records []*Record
		for _, p := range partitions {
			for range 100 {
				r := record(topic, "key", "v")
				r.Partition = p
				records = append(records, r)
			}
		}
		if err := client.ProducePlaced(timeout(t), records); err != nil {
			t.Fatal(err)
		}
		for i, r := range records[1:] {
			if before := records[i]; r.Partition == before.Partition && r.Offset != before.Offset+1 {
				t.Errorf("record %d is at %d, behind one at %d", i+1, r.Offset, before.Offset)
			}
		}
		s, _ := client.producer.senders.cached(theSender)
		return s.Stats().Batches
	}
	place(0) // the partitions are known from here on
	place(1)
	before := place(0)
	if after := place(0); after != before+1 {
		t.Errorf("100 records for one partition are %d batches", after-before)
	}
	if after := place(0, 1); after != before+3 {
		t.Errorf("100 records for each of two partitions are %d batches", after-before-1)
	}
}
