package events

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// PartitionLag is how far a consumer group is behind in a partition.
type PartitionLag struct {
	// Group and Topic are without prefix.
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Committed is the offset of the first event that is not done, -1 if the
	// group has committed nothing here yet.
	Committed int64 `json:"committed"`
	// End is where the partition ends.
	End int64 `json:"end"`
	// Lag is the number of offsets between the two, or, if nothing is
	// committed, those that the partition has. Not every offset needs to be an
	// event.
	Lag int64 `json:"lag"`
}

// ConsumerLag asks the brokers how far groups are behind, in all partitions of
// the topics in which they have committed something; without groups, all those
// whose names begin with the prefix. It is in the order of group, topic and
// partition.
func (l *LibraryNoDB) ConsumerLag(ctx context.Context, groups ...ConsumerGroupName) ([]PartitionLag, error) {
	lags, err := l.consumerLag(ctx, groups)
	if err != nil {
		return nil, fmt.Errorf("consumer lag: %w", err)
	}
	slices.SortFunc(lags, func(a, b PartitionLag) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return lags, nil
}

func (l *LibraryNoDB) consumerLag(ctx context.Context, groups []ConsumerGroupName) (lags []PartitionLag, err error) {
	client, err := l.kafkaClient()
	if err != nil {
		return nil, err
	}
	prefix := l.settings.prefix
	var wire []string
	for _, g := range groups {
		wire = append(wire, prefix+groupName(g))
	}
	if len(groups) == 0 {
		all, err := client.Groups(ctx)
		if err != nil {
			return nil, err
		}
		wire = slices.DeleteFunc(all, func(g string) bool { return !strings.HasPrefix(g, prefix) })
	}
	for _, group := range wire {
		committed, err := client.CommittedOffsets(ctx, group)
		if err != nil {
			return nil, err
		}
		topics := make(map[kafka.WireTopic]bool)
		var names []kafka.WireTopic
		for tp := range committed {
			if !topics[tp.Topic] {
				topics[tp.Topic] = true
				names = append(names, tp.Topic)
			}
		}
		logs, err := client.LogRanges(ctx, names)
		if err != nil {
			return nil, err
		}
		for tp, log := range logs {
			lag := PartitionLag{Group: strings.TrimPrefix(group, prefix), Topic: l.topicOf(tp.Topic), Partition: tp.Partition, Committed: -1, End: log.To, Lag: log.Len()}
			if o, ok := committed[tp]; ok {
				lag.Committed, lag.Lag = o.At, max(0, log.To-max(o.At, log.From))
			}
			lags = append(lags, lag)
		}
	}
	return lags, nil
}

// PingBrokers asks a broker whether it answers, until ctx ends. The error is
// [ErrAuthentication], [ErrCertificate] or, with the addresses that were tried,
// [ErrUnreachable].
func (l *LibraryNoDB) PingBrokers(ctx context.Context) error {
	if err := l.reach(ctx); err != nil {
		return fmt.Errorf("ping the brokers: %w", err)
	}
	return nil
}
