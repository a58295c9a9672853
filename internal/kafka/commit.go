package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Commit commits offsets: the position after the last record that is done. It
// returns when the coordinator has answered, or ctx ends. The error is a
// [CommitError] that says for each partition whether trying again can help:
// not with [ErrNotOwner].
//
// Brokers accept what a member commits of partitions that are no longer its
// own, so Commit refuses that itself; in Revoked they still are.
func (g *Group) Commit(ctx context.Context, offsets map[TopicPartition]Offset) error {
	failed := make(map[TopicPartition]error)
	request := make(map[string]map[int32]kgo.EpochOffset)
	held := make(map[TopicPartition]*assignment)
	g.mu.Lock()
	for tp, o := range offsets {
		held[tp] = g.owned[tp]
		if held[tp] == nil {
			failed[tp] = ErrNotOwner
			continue
		}
		topic := string(tp.Topic)
		if request[topic] == nil {
			request[topic] = make(map[int32]kgo.EpochOffset)
		}
		request[topic][tp.Partition] = kgo.EpochOffset{Epoch: o.LeaderEpoch, Offset: o.At}
	}
	g.mu.Unlock()
	if len(request) > 0 {
		g.commit(ctx, request, failed)
	}
	if len(failed) == 0 {
		return nil
	}
	err := &CommitError{Group: g.cfg.Group, Failed: failed}
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) {
		select {
		case g.thrown <- held:
		default: // it is known already
		}
	}
	return err
}

// commit sends the request and adds what was refused to failed.
func (g *Group) commit(ctx context.Context, request map[string]map[int32]kgo.EpochOffset, failed map[TopicPartition]error) {
	g.kgo.CommitOffsetsSync(ctx, request, func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			for topic, partitions := range request {
				for p := range partitions {
					failed[TopicPartition{WireTopic(topic), p}] = commitError(err)
				}
			}
			return
		}
		names := make(map[[16]byte]string, len(req.Topics)) // an answer may name topics by id only
		for _, t := range req.Topics {
			names[t.TopicID] = t.Topic
		}
		for _, t := range resp.Topics {
			name := t.Topic
			if name == "" {
				name = names[t.TopicID]
			}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed[TopicPartition{WireTopic(name), p.Partition}] = commitError(err)
				}
			}
		}
	})
}
