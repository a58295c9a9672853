package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
// would begin at another end, and skip what came between. With an error the
// member joins again, and this with it.
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
	if len(failed) > 0 {
		return g.cfg.explain("commit where to start", &CommitError{Group: g.cfg.Group, Failed: failed})
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

// beginSince looks up the first records since a time, or the ends of partitions
// that have none. The ends are asked for first, and nothing beyond them is
// begun at: what is appended between the two questions is younger than the
// time, too.
//
// A partition that was added a moment ago may be known to the member that has
// assigned it and not to this one, whose metadata kadm would use as long as it
// is younger than MetadataMinAge; so it is read anew. Of a partition that is
// unknown even then the broker that was asked has not heard yet. That is an
// error, and the member joins again: to begin anywhere else would skip records.
func (g *Group) beginSince(ctx context.Context, b beginning) error {
	if err := g.readMetadata(ctx, b.topics); err != nil {
		return g.cfg.explain("look up where to start", err)
	}
	adm := kadm.NewClient(g.kgo)
	ends, err := adm.ListEndOffsets(ctx, b.topics...)
	if err != nil {
		return g.cfg.explain("look up where to start", err)
	}
	young, err := adm.ListOffsetsAfterMilli(ctx, b.since.UnixMilli(), b.topics...)
	if err != nil {
		return g.cfg.explain("look up where to start", err)
	}
	for _, topic := range b.topics {
		b.pinned[topic] = make(map[int32]kgo.EpochOffset)
		for _, p := range b.unknown[topic] {
			end, err := listed(ends, topic, p)
			if err != nil {
				return g.cfg.explain("look up where to start", err)
			}
			first, err := listed(young, topic, p)
			if err != nil {
				return g.cfg.explain("look up where to start", err)
			}
			if end.Offset < first.Offset {
				first = end
			}
			b.offsets[topic][p] = kgo.NewOffset().At(first.Offset).WithEpoch(first.LeaderEpoch)
			b.pinned[topic][p] = kgo.EpochOffset{Epoch: first.LeaderEpoch, Offset: first.Offset}
		}
	}
	return nil
}

// readMetadata replaces what franz-go remembers of topics.
func (g *Group) readMetadata(ctx context.Context, topics []string) error {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	_, err := req.RequestWith(ctx, g.kgo)
	return err
}

// listed finds a partition in what was listed.
func listed(all kadm.ListedOffsets, topic string, p int32) (kadm.ListedOffset, error) {
	o, ok := all.Lookup(topic, p)
	if !ok {
		o, ok = all.Lookup(topic, -1) // the whole topic's error
	}
	if !ok {
		return o, kerr.UnknownTopicOrPartition
	}
	return o, o.Err
}
