package letterdesk

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Query says what of the list is wanted.
type Query struct {
	// Since leaves out what failed before; zero is nothing. The clocks of the
	// services are believed to within an hour.
	Since time.Time
	// After continues behind a place; the zero Cursor is the beginning.
	After Cursor
	// Progress, if it is not nil, is told from time to time how many of the
	// offsets were read.
	Progress func(read, total int64)
}

// Scan lists the group's letters and the foreign records of its topics, the
// newest first, as they were at the beginning of the iteration. An error is the
// last thing that it yields.
func (d *Desk) Scan(ctx context.Context, q Query) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if err := d.scan(ctx, q, func(i Item) bool { return yield(i, nil) }); err != nil {
			yield(Item{}, err)
		}
	}
}

// batch is what a partition hands on.
type batch struct {
	items []Item
	read  int64 // offsets, since the last one
	err   error
}

// stream is a partition as the merge sees it.
type stream struct {
	place   kafka.TopicPartition
	batches chan batch
	items   []Item // the first is the next one; empty at the end
}

func (d *Desk) scan(ctx context.Context, q Query, yield func(Item) bool) error {
	logs, err := d.ranges(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	progress := progress{tell: q.Progress}
	var streams []*stream
	for tp, log := range logs {
		progress.total += log.Len()
		s := &stream{place: tp, batches: make(chan batch)}
		streams = append(streams, s)
		running.Go(func() { d.readBack(ctx, s, newBackward(d.cfg.Client, log, len(logs)), q.Since) })
	}
	for merge := streams; ; {
		var first *stream
		for _, s := range merge {
			if err := s.fill(ctx, &progress); err != nil {
				return err
			}
			if len(s.items) > 0 && (first == nil || CursorOf(s.items[0]).before(CursorOf(first.items[0]))) {
				first = s
			}
		}
		if first == nil {
			return nil
		}
		item := first.items[0]
		first.items = first.items[1:]
		merge = slices.DeleteFunc(merge, func(s *stream) bool { return s.batches == nil && len(s.items) == 0 })
		if !q.Since.IsZero() && item.Time.Before(q.Since) || !q.After.IsZero() && !q.After.before(CursorOf(item)) {
			continue
		}
		if !yield(item) {
			return nil
		}
	}
}

// fill waits until it is known what comes next.
func (s *stream) fill(ctx context.Context, p *progress) error {
	for len(s.items) == 0 && s.batches != nil {
		select {
		case b, ok := <-s.batches:
			if !ok {
				s.batches = nil
				continue
			}
			if b.err != nil {
				return b.err
			}
			s.items = b.items
			p.add(b.read)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

type progress struct {
	tell        func(read, total int64)
	read, total int64
}

func (p *progress) add(n int64) {
	p.read += n
	if p.tell != nil && n > 0 {
		p.tell(min(p.read, p.total), p.total)
	}
}

// skew is how much the clocks of services may differ.
const skew = time.Hour

// readBack hands on the letters of a partition. It stops reading when a whole
// step has failed long before since.
func (d *Desk) readBack(ctx context.Context, s *stream, b *backward, since time.Time) {
	defer close(s.batches)
	send := func(out batch) bool {
		select {
		case s.batches <- out:
			return true
		case <-ctx.Done():
			return false
		}
	}
	r := newResolver()
	for recent := true; !b.end() && (recent || r.waiting()); {
		before := b.next
		records, err := b.more(ctx)
		if err != nil {
			send(batch{err: err})
			return
		}
		failures := 0
		recent = since.IsZero()
		for _, rec := range slices.Backward(records) {
			if !rec.foreign && !d.mine(s.place.Topic, rec.header) {
				continue
			}
			r.add(rec)
			if rec.header.Kind == letters.Letter {
				failures++
				recent = recent || rec.time.After(since.Add(-skew))
			}
		}
		recent = recent || failures == 0 // nothing is known of the time
		if !send(batch{items: s.placed(r.ready(), b.log.To), read: before - b.next}) {
			return
		}
	}
	if b.end() {
		send(batch{items: s.placed(r.finish(), b.log.To)})
	}
}

// placed fills in where items were read.
func (s *stream) placed(items []Item, end int64) []Item {
	for i := range items {
		items[i].Place, items[i].AsOf = s.place, end
	}
	return items
}

// before is the order of the list: the newer first, then by place.
func (c Cursor) before(other Cursor) bool {
	if !c.Time.Equal(other.Time) {
		return c.Time.After(other.Time)
	}
	if n := strings.Compare(string(c.Topic), string(other.Topic)); n != 0 {
		return n < 0
	}
	if n := cmp.Compare(c.Partition, other.Partition); n != 0 {
		return n < 0
	}
	return c.Offset > other.Offset
}
