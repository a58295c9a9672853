package letterdesk

import (
	"context"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Outcome is what has become of a replay.
type Outcome struct {
	Written
	// Header is that of the record that has ended it: Done, a Letter that
	// names the replay, or another operation, which has overtaken it.
	Header letters.Header
	// End is that record's offset.
	End int64
}

// Overtaken says that the replay was ended by what somebody else did.
func (o Outcome) Overtaken() bool {
	return o.Header.Kind != letters.Letter && (o.Header.Kind != letters.Done || o.Header.Replay != o.Replay)
}

// Outcomes follows the partitions of replays and yields each of them once, as
// it ends. An error, ctx's for example, is the last thing that it yields.
func (d *Desk) Outcomes(ctx context.Context, replays []Written) iter.Seq2[Outcome, error] {
	return func(yield func(Outcome, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		places := make(map[kafka.TopicPartition][]Written)
		for _, w := range replays {
			places[w.Item.Place] = append(places[w.Item.Place], w)
		}
		ends := make(chan ended)
		for place, replays := range places {
			running.Go(func() { d.follow(ctx, place, replays, ends) })
		}
		for range replays {
			select {
			case e := <-ends:
				if e.err != nil {
					yield(Outcome{}, e.err)
					return
				}
				if !yield(e.outcome, nil) {
					return
				}
			case <-ctx.Done():
				yield(Outcome{}, ctx.Err())
				return
			}
		}
	}
}

// leastPoll is the least time between two looks for what is new.
const leastPoll = 50 * time.Millisecond

type ended struct {
	outcome Outcome
	err     error
}

// follow reads a partition from its first replay on until all of them have
// ended.
func (d *Desk) follow(ctx context.Context, place kafka.TopicPartition, replays []Written, ends chan<- ended) {
	tell := func(e ended) bool {
		select {
		case ends <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	open := make(map[id]Written, len(replays))
	next := int64(math.MaxInt64)
	for _, w := range replays {
		open[w.Item.Header.ID] = w
		next = min(next, w.Offset+1)
	}
	for len(open) > 0 {
		// Read returns at the end of the log after one long poll; at once, if
		// the log was truncated below next.
		again := time.After(leastPoll)
		for chunk, err := range d.cfg.Client.Read(ctx, kafka.LogRange{TopicPartition: place, From: next, To: math.MaxInt64}) {
			if err != nil {
				tell(ended{err: err})
				return
			}
			for _, r := range chunk.Records {
				id, ok := letters.IDOf(r.Headers)
				if !ok {
					continue
				}
				w, waits := open[id]
				rec := read(r)
				if !waits || rec.foreign || !endsReplay(w, rec) {
					continue
				}
				delete(open, id)
				if !tell(ended{outcome: Outcome{w, rec.header, rec.offset}}) {
					return
				}
			}
			next = chunk.Next
		}
		select {
		case <-again:
		case <-ctx.Done():
			tell(ended{err: ctx.Err()})
			return
		}
	}
}

// endsReplay says whether a record ends a replay: it says so itself, or it is an
// operation that follows the replay, or a success that came another way. What
// follows an older record was written without knowing of the replay, and has no
// effect.
func endsReplay(w Written, rec record) bool {
	if rec.offset <= w.Offset {
		return false
	}
	switch h := rec.header; h.Kind {
	case letters.Done:
		return true
	case letters.Letter:
		return h.Replay == w.Replay || h.Follows == letters.NoRecord
	case letters.Replay:
		return h.Follows >= w.Offset && h.Replay != w.Replay // a service that does not know the handler moves it to the tail
	case letters.Discard, letters.Reopen:
		return h.Follows >= w.Offset
	}
	return false
}
