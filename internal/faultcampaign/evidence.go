//go:build linux

package faultcampaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// handlers declares the service's handlers to the checker.
var handlers = []checker.Entry{
	checker.Handler{Group: service.Ledger, Name: service.Ledger, Kind: checker.ExactlyOnce, Topics: []string{service.Orders}, Ordered: true, Letters: true},
	checker.Handler{Group: service.Payments, Name: service.Payments, Kind: checker.ExactlyOnce, Topics: []string{service.Invoices}, Letters: true},
	checker.Handler{Group: service.Audit, Name: service.Audit, Kind: checker.Idempotent, Topics: []string{service.Orders}, Ordered: true, Letters: true},
	checker.Handler{Group: service.Mail, Name: service.Mail, Kind: checker.Idempotent, Topics: []string{service.Orders}, Letters: true},
	checker.Handler{Group: service.Survey, Name: service.Survey, Kind: checker.Idempotent, Topics: []string{service.Growing}, Letters: true},
	checker.Handler{Group: service.Digest, Name: service.Digest, Kind: checker.Idempotent, Topics: []string{service.Brief}, Letters: true},
	checker.Handler{Name: service.Cache, Kind: checker.Broadcast, Topics: []string{service.Orders, service.Growing, service.Brief}},
}

// evidence is everything that is known of a campaign.
func (c *campaign) evidence(ctx context.Context) ([]checker.Entry, error) {
	entries := append([]checker.Entry(nil), handlers...)
	journals, err := readJournals(c.options.Folder)
	if err != nil {
		return nil, err
	}
	log, places, err := c.readTopics(ctx)
	if err != nil {
		return nil, err
	}
	committed, err := c.readCommitted(ctx)
	if err != nil {
		return nil, err
	}
	effects, err := c.readEffects(ctx)
	if err != nil {
		return nil, err
	}
	letters, err := c.readLetters(ctx, places)
	if err != nil {
		return nil, err
	}
	return append(entries, checker.Merge(journals, log, committed, effects, letters)...), nil
}

func readJournals(folder string) (all []checker.Entry, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.journal"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		entries, err := checker.ParseJournal(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, entries...)
	}
	return all, nil
}

// spot is a record's place.
type spot struct {
	topic     string
	partition int32
	offset    int64
}

// readTopics reads all records, and what they say of events that no transaction
// has written: those of the stream.
func (c *campaign) readTopics(ctx context.Context) (entries []checker.Entry, places map[spot]string, err error) {
	places = map[spot]string{}
	for _, topic := range service.Topics {
		err := c.stream.read(ctx, topic, func(r *kgo.Record) {
			e := checker.Logged{At: r.Timestamp, Topic: topic, Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Producer: r.ProducerID, Epoch: r.ProducerEpoch}
			var order service.Order
			if err := json.Unmarshal(r.Value, &order); err != nil || order.ID == uuid.Nil {
				// Nobody can handle it.
				e.ID = fmt.Sprintf("raw %s/%d/%d", topic, r.Partition, r.Offset)
				e.OtherwiseAdded, e.Producer = true, -1
				entries = append(entries, checker.Committed{At: r.Timestamp, Topic: topic, ID: e.ID})
				entries = append(entries, doomed(topic, e.ID, true)...)
			} else {
				e.ID = order.ID.String()
				if topic == service.Orders && c.stream.wrote(e.ID) {
					e.OtherwiseAdded, e.Producer = true, -1
					entries = append(entries, checker.Committed{At: r.Timestamp, Topic: topic, ID: e.ID},
						checker.Committed{At: r.Timestamp, Topic: service.Invoices, ID: e.ID})
				}
			}
			places[spot{topic, r.Partition, r.Offset}] = e.ID
			entries = append(entries, e)
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", topic, err)
		}
	}
	return entries, places, nil
}

// doomed says that the handlers of a topic cannot handle an event; all of them,
// or those that fail with poison.
func doomed(topic, id string, all bool) (entries []checker.Entry) {
	for _, h := range handlers {
		h := h.(checker.Handler)
		for _, t := range h.Topics {
			if t == topic && (all || h.Name == service.Ledger || h.Name == service.Audit) {
				entries = append(entries, checker.Doomed{Group: h.Group, Handler: h.Name, Topic: topic, ID: id, Unseen: all})
			}
		}
	}
	return entries
}

func (c *campaign) readCommitted(ctx context.Context) (entries []checker.Entry, err error) {
	rows, err := c.database.QueryContext(ctx, `SELECT id, topic, k, n, fate, began FROM campaign_committed`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e checker.Committed
		var fate string
		var began int64
		if err := rows.Scan(&e.ID, &e.Topic, &e.Key, &e.Seq, &fate, &began); err != nil {
			return nil, err
		}
		e.At = time.Unix(0, began)
		entries = append(entries, e)
		if e.Topic != service.Orders {
			continue
		}
		if service.Fate(fate) == service.Poison {
			entries = append(entries, doomed(e.Topic, e.ID, false)...)
			continue
		}
		// The ledger makes an invoice of it, in the key's order.
		e.Topic = service.Invoices
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

func (c *campaign) readEffects(ctx context.Context) (entries []checker.Entry, err error) {
	rows, err := c.database.QueryContext(ctx, `SELECT id, handler FROM campaign_effects`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e checker.Effect
		if err := rows.Scan(&e.ID, &e.Handler); err != nil {
			return nil, err
		}
		e.Group, e.Topic = e.Handler, service.Groups[e.Handler]
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// readLetters lists the letters with which something is to be done.
func (c *campaign) readLetters(ctx context.Context, places map[spot]string) (entries []checker.Entry, err error) {
	for group := range service.Groups {
		for letter, err := range c.desk.DeadLetters(events.NewConsumerGroup(group)).List(ctx, events.LetterFilter{States: events.OpenLetters}) {
			if err != nil {
				return nil, fmt.Errorf("letters of %s: %w", group, err)
			}
			topic := letter.OriginTopic[len(c.fleet.prefix):]
			id, ok := places[spot{topic, letter.OriginPartition, letter.OriginOffset}]
			if !ok {
				id = fmt.Sprintf("removed %s/%d/%d", topic, letter.OriginPartition, letter.OriginOffset)
			}
			entries = append(entries, checker.Letter{Group: group, Handler: letter.Handler, Topic: topic, ID: id, LetterID: letter.ID.String(), Error: letter.Error})
		}
	}
	return entries, nil
}

// read reads a topic as it is now, without what was aborted.
func (s *stream) read(ctx context.Context, topic string, each func(*kgo.Record)) error {
	wire := s.prefix + topic
	starts, err := s.admin.ListStartOffsets(ctx, wire)
	if err != nil {
		return err
	}
	ends, err := s.admin.ListCommittedOffsets(ctx, wire)
	if err != nil {
		return err
	}
	if err := errors.Join(starts.Error(), ends.Error()); err != nil {
		return err
	}
	left := map[int32]int64{} // where partitions end that are not read to their end
	for partition, end := range ends.Offsets()[wire] {
		if start, _ := starts.Lookup(wire, partition); start.Offset < end.At {
			left[partition] = end.At
		}
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ConsumeTopics(wire), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(left) > 0 {
		// No longer than that: where a short retention has removed the rest
		// nothing comes any more.
		polling, cancel := context.WithTimeout(ctx, time.Second)
		fetches := reader.PollFetches(polling)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, wanted := left[r.Partition]
			if !wanted || r.Offset >= end {
				delete(left, r.Partition)
				return
			}
			if !r.Attrs.IsControl() {
				each(r)
			}
			if r.Offset == end-1 {
				delete(left, r.Partition)
			}
		})
		if starts, err = s.admin.ListStartOffsets(ctx, wire); err != nil {
			return err
		}
		for partition, end := range left {
			if start, _ := starts.Lookup(wire, partition); start.Offset >= end {
				delete(left, partition)
			}
		}
	}
	return nil
}
