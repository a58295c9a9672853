package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Start is where a partition begins of which a group has committed nothing.
type Start struct {
	kind startKind
	at   time.Time
}

type startKind int8

const (
	atStart startKind = iota
	atEnd
	atTime
)

var (
	// Earliest is the first record there is.
	Earliest = Start{}
	// Latest is the first record that is appended after the member started;
	// a partition that is added later is read from its beginning.
	Latest = Start{kind: atEnd}
)

// From is the first record at or after a time, by the records' timestamps.
func From(t time.Time) Start { return Start{kind: atTime, at: t} }

// begin is called with the offsets at which newly assigned partitions will be
// fetched: what the group has committed, or, as -1, that there is nothing. The
// start of a group that does not begin at the earliest record is looked up and
// committed here. Otherwise a member that is restarted before the first commit
// would begin at another end, and skip what came between.
func (g *Group) begin(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	unknown := make(map[string][]int32)
	for topic, partitions := range offsets {
		for p, o := range partitions {
			if o.EpochOffset().Offset == -1 {
				unknown[topic] = append(unknown[topic], p)
			}
		}
	}
	if len(unknown) > 0 {
		if err := g.beginLater(ctx, unknown, offsets); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, partitions := range offsets {
		for p, o := range partitions {
			if a := g.owned[TopicPartition{WireTopic(topic), p}]; a != nil {
				a.next = max(-1, o.EpochOffset().Offset)
			}
		}
	}
	return offsets, nil
}

// beginLater replaces the offsets of partitions of which nothing is committed.
func (g *Group) beginLater(ctx context.Context, unknown map[string][]int32, offsets map[string]map[int32]kgo.Offset) error {
	since := make(map[time.Time][]string)
	for topic, partitions := range unknown {
		switch start := g.cfg.Starts[WireTopic(topic)]; start.kind {
		case atStart:
			for _, p := range partitions {
				offsets[topic][p] = kgo.NewOffset().AtStart()
			}
		case atEnd:
			since[g.started] = append(since[g.started], topic)
		case atTime:
			since[start.at] = append(since[start.at], topic)
		}
	}
	pinned := make(map[string]map[int32]kgo.EpochOffset)
	for t, topics := range since {
		if err := g.beginSince(ctx, beginning{t, topics, unknown, offsets, pinned}); err != nil {
			return err
		}
	}
	if len(pinned) == 0 {
		return nil
	}
	failed := make(map[TopicPartition]error)
	g.commit(ctx, pinned, failed)
	for tp, err := range failed {
		g.log.Warn("kafka: where the group starts was not committed; until its first commit a restart starts later",
			"topic", tp.Topic, "partition", tp.Partition, "error", err)
	}
	return nil
}

// beginning is what is looked up together: the topics that begin at one time.
type beginning struct {
	since   time.Time
	topics  []string
	unknown map[string][]int32
	// offsets and pinned are written to.
	offsets map[string]map[int32]kgo.Offset
	pinned  map[string]map[int32]kgo.EpochOffset
}

func (g *Group) beginSince(ctx context.Context, b beginning) error {
	listed, err := kadm.NewClient(g.kgo).ListOffsetsAfterMilli(ctx, b.since.UnixMilli(), b.topics...)
	if err != nil {
		return g.cfg.explain("look up where to start", err)
	}
	unknown, offsets, pinned := b.unknown, b.offsets, b.pinned
	for _, topic := range b.topics {
		partitions := unknown[topic]
		pinned[topic] = make(map[int32]kgo.EpochOffset)
		for _, p := range partitions {
			o, ok := listed.Lookup(topic, p)
			if !ok {
				continue
			}
			if o.Err != nil {
				return g.cfg.explain("look up where to start", o.Err)
			}
			offsets[topic][p] = kgo.NewOffset().At(o.Offset).WithEpoch(o.LeaderEpoch)
			pinned[topic][p] = kgo.EpochOffset{Epoch: o.LeaderEpoch, Offset: o.Offset}
		}
	}
	return nil
}
