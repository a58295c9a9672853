package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// EndOffsets is where a reader of committed records comes to the end of each
// partition now: the last stable offset. Topics that do not exist are left out.
func (c *Client) EndOffsets(ctx context.Context, topics []WireTopic) (map[TopicPartition]int64, error) {
	offsets := make(map[TopicPartition]int64)
	if len(topics) == 0 {
		return offsets, nil // no topics would mean all of them
	}
	listed, err := list(ctx, c.adm.ListCommittedOffsets, topics)
	if err != nil {
		return nil, c.cfg.explain("read end offsets", err)
	}
	for tp, o := range listed {
		offsets[tp] = o.At
	}
	return offsets, nil
}

// Groups are the names of all consumer groups that the user may see, sorted.
func (c *Client) Groups(ctx context.Context) ([]string, error) {
	listed, err := c.adm.ListGroups(ctx)
	if err != nil {
		return nil, c.cfg.explain("list the consumer groups", err)
	}
	return listed.Groups(), nil
}

// CommittedOffsets is what a group has committed. A group that does not exist
// has committed nothing.
func (c *Client) CommittedOffsets(ctx context.Context, group string) (map[TopicPartition]Offset, error) {
	fetched, err := c.adm.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		// Kafka's answer is no offsets; others say it with this error.
		return map[TopicPartition]Offset{}, nil
	}
	if err != nil {
		return nil, c.cfg.explain(fmt.Sprintf("read the offsets of group %q", group), err)
	}
	offsets := make(map[TopicPartition]Offset)
	for topic, partitions := range fetched {
		for p, o := range partitions {
			if o.Err != nil {
				return nil, c.cfg.explain(fmt.Sprintf("read the offsets of group %q", group), o.Err)
			}
			if o.At >= 0 {
				offsets[TopicPartition{WireTopic(topic), p}] = Offset{At: o.At, LeaderEpoch: o.LeaderEpoch}
			}
		}
	}
	return offsets, nil
}

// list calls one of kadm's functions that list offsets. Topics that do not
// exist are left out; any other error of a partition is the error of all.
func list(ctx context.Context, fn func(context.Context, ...string) (kadm.ListedOffsets, error), topics []WireTopic) (map[TopicPartition]Offset, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = string(t)
	}
	listed, err := fn(ctx, names...)
	if err != nil {
		return nil, err
	}
	offsets := make(map[TopicPartition]Offset)
	for topic, partitions := range listed {
		for p, o := range partitions {
			switch {
			case errors.Is(o.Err, kerr.UnknownTopicOrPartition):
			case o.Err != nil:
				return nil, &TopicError{Topic: WireTopic(topic), Op: "list the offsets of", Err: o.Err}
			case p >= 0:
				offsets[TopicPartition{WireTopic(topic), p}] = Offset{At: o.Offset, LeaderEpoch: o.LeaderEpoch}
			}
		}
	}
	return offsets, nil
}
