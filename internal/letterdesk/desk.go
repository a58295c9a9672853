package letterdesk

import (
	"context"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Config says whose letters a desk is for.
type Config struct {
	Client *kafka.Client
	Prefix string // of topics and groups
	Group  string // without prefix
	// Name is the name, without prefix, of the dead-letter topic of a topic and
	// the group.
	Name func(topic string) string
	// Topics are those, without prefix, that are known to be consumed by the
	// group; others are found in the cluster.
	Topics []string
}

// Desk is for one group's letters. Its methods may be called at the same time.
type Desk struct{ cfg Config }

// New makes a desk. It does not use the network.
func New(cfg Config) *Desk { return &Desk{cfg: cfg} }

// Item is a letter as its records say, or a foreign record.
type Item struct {
	Place kafka.TopicPartition
	// Record is the newest record with effect, which the next operation
	// follows; Failure the newest failure, which carries the event, or what is
	// left of it, a copy. Failure is letters.NoRecord if nothing is left.
	Record, Failure int64
	// AsOf is the end of the partition when it was read: nothing from there on
	// is known.
	AsOf int64
	// Time is when it failed, by the service's clock; of a foreign record, its
	// timestamp.
	Time time.Time
	// Order is Time, made to descend within the partition: it is what the list
	// is sorted by.
	Order time.Time

	State  letters.State
	Header letters.Header // the failure's
	Key    []byte         // the event's; nil is none
	Size   int            // of the event's value, in bytes

	// Of the record with effect, if it is not the failure:

	By, Reason string
	Since      time.Time
	Replay     string

	// Foreign says that the record is not of the protocol, or cannot be read:
	// Problem says why then. Only Place, Record, AsOf, Time, Key and Size are
	// set.
	Foreign bool
	Problem error
}

// record is what is kept of a record that was read.
type record struct {
	offset  int64
	time    time.Time
	header  letters.Header
	key     []byte
	size    int
	foreign bool
	problem error
}

func read(r *kafka.Record) record {
	rec := record{offset: r.Offset, time: r.Timestamp, key: r.Key, size: len(r.Value)}
	rec.header, _, rec.problem = letters.Parse(r.Headers)
	if !rec.header.Last.IsZero() { // it was appended later, perhaps by a broker with another clock
		rec.time = rec.header.Last
	}
	if rec.foreign = rec.problem != nil; rec.foreign && rec.problem == letters.ErrForeign {
		rec.problem = nil
	}
	return rec
}

// topics are the group's dead-letter topics: those of the topics that are known
// to be consumed, and those in the cluster whose names end as the group's do.
// Of an ambiguous name each record says whose it is; see mine.
func (d *Desk) topics(ctx context.Context) ([]kafka.WireTopic, error) {
	all, err := d.cfg.Client.Topics(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[kafka.WireTopic]bool)
	for _, t := range d.cfg.Topics {
		known[kafka.WireTopic(d.cfg.Prefix+d.cfg.Name(t))] = true
	}
	suffix := d.cfg.Name("") // ".<group>.dead-letter"
	var topics []kafka.WireTopic
	for _, t := range all {
		name, prefixed := strings.CutPrefix(string(t), d.cfg.Prefix)
		if known[t] || prefixed && strings.HasSuffix(name, suffix) && len(name) > len(suffix) {
			topics = append(topics, t)
		}
	}
	return topics, nil
}

// mine says whether a record of a dead-letter topic is of a letter of this
// group: the name of the topic alone does not say it.
func (d *Desk) mine(topic kafka.WireTopic, h letters.Header) bool {
	return h.Group == d.cfg.Group && string(topic) == d.cfg.Prefix+d.cfg.Name(h.Topic)
}

// ranges are the logs of the group's dead-letter topics.
func (d *Desk) ranges(ctx context.Context) (map[kafka.TopicPartition]kafka.LogRange, error) {
	topics, err := d.topics(ctx)
	if err != nil {
		return nil, err
	}
	return d.cfg.Client.LogRanges(ctx, topics)
}

// itemOf makes the item of a letter, all of whose records that matter are in
// the fold.
func itemOf(state letters.State, newest letters.Entry, failure record, op *op) Item {
	item := Item{
		Record: newest.Offset, Failure: failure.offset, Time: failure.time,
		State: state, Header: failure.header, Key: failure.key, Size: failure.size, Replay: failure.header.Replay,
	}
	if op != nil {
		item.By, item.Reason, item.Since, item.Replay = op.texts.by, op.texts.reason, time.Unix(0, op.nanos), op.replay
	} else {
		item.Since = failure.time
	}
	return item
}

// id is a letter's.
type id = eventmodels.Mark
