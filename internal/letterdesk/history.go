package letterdesk

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Entry is a record of a letter's history.
type Entry struct {
	Offset int64
	Time   time.Time // of a failure, when it failed; else when the record was written
	Header letters.Header
	// Effect is what the record's effect is on the state; see package letters.
	Effect bool
}

// History is all that the log knows of a letter.
type History struct {
	Item
	Entries []Entry // ascending
	// Event is the record with the event as it was when it failed last: its
	// key, value and headers. nil if the log no longer has it.
	Event *kafka.Record
}

// History returns a letter's history; false if there is no such letter. It
// reads a whole partition, or, if the topic was given more partitions since, all
// of them.
func (d *Desk) History(ctx context.Context, letter id) (History, bool, error) {
	logs, err := d.ranges(ctx)
	if err != nil {
		return History{}, false, err
	}
	partitions := make(map[kafka.WireTopic]int)
	for tp := range logs {
		partitions[tp.Topic]++
	}
	// The likely ones first.
	order := slices.SortedFunc(maps.Keys(logs), func(a, b kafka.TopicPartition) int {
		likely := func(tp kafka.TopicPartition) int {
			if letters.Partition(letter, partitions[tp.Topic]) == tp.Partition {
				return 0
			}
			return 1
		}
		if n := likely(a) - likely(b); n != 0 {
			return n
		}
		return strings.Compare(a.String(), b.String())
	})
	for _, tp := range order {
		records, err := d.recordsOf(ctx, logs[tp], letter)
		if err != nil {
			return History{}, false, err
		}
		if h, ok := historyOf(records); ok {
			h.Place, h.AsOf = tp, logs[tp].To
			return h, true, nil
		}
	}
	return History{}, false, nil
}

// recordsOf are the records of a letter in a range.
func (d *Desk) recordsOf(ctx context.Context, log kafka.LogRange, letter id) ([]*kafka.Record, error) {
	var records []*kafka.Record
	for chunk, err := range kafka.Whole(log, d.cfg.Client.Read(ctx, log)) {
		if err != nil {
			return nil, err
		}
		for _, r := range chunk.Records {
			if found, ok := letters.IDOf(r.Headers); !ok || found != letter {
				continue
			}
			if rec := read(r); !rec.foreign && d.mine(log.Topic, rec.header) {
				records = append(records, r)
			}
		}
	}
	return records, nil
}

// historyOf makes the history of a letter's records, which ascend.
func historyOf(records []*kafka.Record) (History, bool) {
	if len(records) == 0 {
		return History{}, false
	}
	var h History
	var fold letters.Fold
	for _, r := range records {
		header, _, _ := letters.Parse(r.Headers) // was read before
		h.Entries = append(h.Entries, Entry{Offset: r.Offset, Time: read(r).time, Header: header})
		fold.Add(header.Entry(r.Offset))
	}
	state, newest := fold.State()
	at := fold.Carrier().Offset
	failure := record{offset: letters.NoRecord, time: h.Entries[0].Time, header: h.Entries[0].Header}
	var last *op
	for i, r := range records {
		e := &h.Entries[i]
		e.Effect = fold.Effective(r.Offset)
		if r.Offset == at {
			failure, h.Event = read(r), r
		}
		if head := e.Header; r.Offset == newest.Offset && head.Kind != letters.Letter && head.Kind != letters.Copy {
			last = &op{r.Offset, r.Timestamp.UnixNano(), &texts{by: head.By, reason: head.Reason}, head.Replay}
		}
	}
	h.Item = itemOf(state, newest, failure, last)
	return h, true
}
