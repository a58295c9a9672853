package deadletter

import (
	"context"

	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Tap stands between a group's member and its engine, on both sides, and lets
// an index know what concerns dead-letter topics.
type Tap struct {
	index *Index
	is    func(kafka.WireTopic) bool
}

// NewTap makes a tap for the topics of which is says that they are dead-letter
// topics.
func NewTap(index *Index, is func(kafka.WireTopic) bool) *Tap { return &Tap{index, is} }

// Assignments tells the index before a of what was assigned, and after a of
// what is not any more.
func (t *Tap) Assignments(a kafka.Assignments) kafka.Assignments { return tapped{t, a} }

type tapped struct {
	tap  *Tap
	told kafka.Assignments
}

func (t tapped) Assigned(ctx context.Context, partitions []kafka.TopicPartition) {
	t.each(partitions, t.tap.index.begin)
	t.told.Assigned(ctx, partitions)
}

func (t tapped) Revoked(ctx context.Context, partitions []kafka.TopicPartition) {
	t.told.Revoked(ctx, partitions)
	t.each(partitions, t.tap.index.end)
}

func (t tapped) Lost(partitions []kafka.TopicPartition) {
	t.told.Lost(partitions)
	t.each(partitions, t.tap.index.end)
}

func (t tapped) each(partitions []kafka.TopicPartition, do func(kafka.TopicPartition)) {
	for _, tp := range partitions {
		if t.tap.is(tp.Topic) {
			do(tp)
		}
	}
}

// Source is src, of which the index sees what is fetched before the engine
// does.
func (t *Tap) Source(src kafka.Source) kafka.Source { return tappedSource{src, t} }

type tappedSource struct {
	kafka.Source
	tap *Tap
}

func (s tappedSource) Poll(ctx context.Context, maxRecords int) ([]kafka.Fetched, error) {
	fetched, err := s.Source.Poll(ctx, maxRecords)
	for i := range fetched {
		if s.tap.is(fetched[i].Topic) {
			s.tap.index.fetched(&fetched[i])
		}
	}
	return fetched, err
}

// Committer is c, of which the index learns what is committed.
func (t *Tap) Committer(c delivery.Committer) delivery.Committer { return tappedCommitter{c, t} }

type tappedCommitter struct {
	delivery.Committer
	tap *Tap
}

func (c tappedCommitter) Commit(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error {
	err := c.Committer.Commit(ctx, offsets)
	for tp, o := range offsets {
		if c.tap.is(tp.Topic) && !kafka.Refused(err, tp) {
			c.tap.index.committed(tp, o.At)
		}
	}
	return err
}
