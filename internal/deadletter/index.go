package deadletter

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Log reads parts of logs; a *kafka.Client does.
type Log interface {
	LogRanges(ctx context.Context, topics []kafka.WireTopic) (map[kafka.TopicPartition]kafka.LogRange, error)
	Read(ctx context.Context, r kafka.LogRange) iter.Seq2[kafka.Chunk, error]
}

// Index knows the records of the partitions of dead-letter topics that are
// assigned to this process.
type Index struct {
	log  Log
	wake func(kafka.TopicPartition, int64)

	mu         sync.Mutex
	partitions map[kafka.TopicPartition]*history
}

// NewIndex makes an index that reads from log what was not fetched. SetWake has
// to be called before it is used.
func NewIndex(log Log) *Index {
	return &Index{log: log, partitions: make(map[kafka.TopicPartition]*history)}
}

// SetWake says what wakes the deliveries of a record.
func (x *Index) SetWake(wake func(kafka.TopicPartition, int64)) { x.wake = wake }

// begin begins an assignment, end ends it.
func (x *Index) begin(tp kafka.TopicPartition) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.partitions[tp] = newHistory()
}

func (x *Index) end(tp kafka.TopicPartition) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.partitions, tp)
}

// fetched notes what a poll has returned, before it is delivered, and wakes
// what may be overtaken by it.
func (x *Index) fetched(f *kafka.Fetched) {
	x.mu.Lock()
	var overtaken []int64
	if h := x.partitions[f.TopicPartition]; h != nil && !f.Stale() {
		overtaken = h.fetched(f.Records, f.Next.At, max(maxEntries/len(x.partitions), leastEntries))
	}
	x.mu.Unlock()
	for _, offset := range overtaken {
		x.wake(f.TopicPartition, offset)
	}
}

// committed notes what the group has committed.
func (x *Index) committed(tp kafka.TopicPartition, offset int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.partitions[tp]; h != nil {
		h.committed = offset
	}
}

// ruling is what is to be done with a record.
type ruling int

const (
	// passOver: something newer has taken effect, or there is nothing to do.
	passOver ruling = iota
	// run: it is to be run, now or when its time has come.
	run
	// busy: another record of the letter runs; the delivery is woken then.
	busy
	// unknown: learn has to be called first.
	unknown
)

// judge says what is to be done with a record, which must have been fetched in
// this assignment. The record's own delivery asks, so it does not run.
func (x *Index) judge(tp kafka.TopicPartition, id eventmodels.Mark, offset int64) ruling {
	says, woken := x.rule(tp, id, offset)
	for _, offset := range woken {
		x.wake(tp, offset)
	}
	return says
}

// rule is judge, and returns what is to be woken. A record that is passed over
// may have run before: its run ended without an outcome, a server was away for
// example, and before it was tried again it was overtaken. Then nothing will be
// written that ends the run, and whoever waits for it goes on now.
func (x *Index) rule(tp kafka.TopicPartition, id eventmodels.Mark, offset int64) (says ruling, woken []int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.partitions[tp]
	if h == nil || h.lo < 0 || h.letters[id] == nil {
		return busy, nil // its assignment has ended, or the log was truncated: the result changes nothing
	}
	switch runs, _, known := h.judge(id, offset); {
	case !known:
		return unknown, nil
	case !runs:
		return passOver, h.ran(id, offset)
	case time.Since(h.asked) > fresh:
		return unknown, nil
	}
	if h.mustWait(id, offset) {
		return busy, nil
	}
	return run, nil
}

// claim begins the run of a letter for a record. It returns false if another
// one runs, after which the delivery is woken, or if the assignment has ended:
// then nothing would come of the run, and another owner makes one.
func (x *Index) claim(tp kafka.TopicPartition, id eventmodels.Mark, offset int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.partitions[tp]
	if h == nil || h.mustWait(id, offset) {
		return false
	}
	h.running[id] = offset
	return true
}

// written notes a record that this process has written: the outcome of the run
// for the record that it follows.
func (x *Index) written(tp kafka.TopicPartition, offset int64, header letters.Header) {
	x.mu.Lock()
	var woken []int64
	if h := x.partitions[tp]; h != nil {
		h.add(offset, header)
		woken = h.ran(header.ID, header.Follows)
	}
	x.mu.Unlock()
	for _, offset := range woken {
		x.wake(tp, offset)
	}
}

const (
	// learnTime is how long one call of learn may take; what it has learnt by
	// then stays.
	learnTime = 10 * time.Second
	// fresh is how old what is known of the log's end may be when a letter is
	// run. Fetching may be far behind: it stops while a server is away, and
	// while more letters wait than the window holds. What somebody has done
	// with a letter by then has to be known nevertheless.
	fresh = 5 * time.Second
	// stride is how many offsets are read at once of what lies before the
	// assignment.
	stride = 20_000
)

// learn reads what has to be known before a record can be judged. One call
// reads of a partition at a time; the others wait for it. ctx's deadline, which
// is the handler's, does not end it: only its cancellation for another reason.
func (x *Index) learn(ctx context.Context, tp kafka.TopicPartition, id eventmodels.Mark, offset int64) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), learnTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), eventmodels.TimeoutErr) {
			cancel()
		}
	})()
	for {
		x.mu.Lock()
		h := x.partitions[tp]
		if h == nil || h.lo < 0 || h.letters[id] == nil {
			x.mu.Unlock()
			return errEnded
		}
		_, needs, known := h.judge(id, offset)
		if known && time.Since(h.asked) <= fresh {
			x.mu.Unlock()
			return nil
		}
		other := h.reading
		if other == nil {
			h.reading = make(chan struct{})
			x.mu.Unlock()
			err := x.read(limited, h, tp, needs)
			x.mu.Lock()
			h.learnt()
			x.mu.Unlock()
			if err != nil {
				return err
			}
			continue
		}
		x.mu.Unlock()
		select {
		case <-other:
		case <-limited.Done():
			return limited.Err()
		}
	}
}

var errEnded = errors.New("the record is not in the partition's assignment any more")

// read reads to the end of the log, and then down to needs.
func (x *Index) read(ctx context.Context, h *history, tp kafka.TopicPartition, needs int64) error {
	now := time.Now()
	ranges, err := x.log.LogRanges(ctx, []kafka.WireTopic{tp.Topic})
	if err != nil {
		return err
	}
	there, ok := ranges[tp]
	if !ok {
		return &kafka.TopicError{Topic: tp.Topic, Op: "read", Err: kafka.ErrUnknownTopic}
	}
	x.mu.Lock()
	h.end, h.asked = there.To, now
	from, to, lo, resets := h.hi, h.end, h.lo, h.resets
	x.mu.Unlock()
	all := func(letters.Header) bool { return true }
	err = x.readRange(ctx, h, resets, kafka.LogRange{TopicPartition: tp, From: from, To: to}, all, func(known int64) { h.hi = max(h.hi, known) })
	for bottom := max(needs, there.From); lo > bottom && err == nil; lo = max(bottom, lo-stride) {
		part := kafka.LogRange{TopicPartition: tp, From: max(bottom, lo-stride), To: lo}
		operations := func(h letters.Header) bool { return h.Kind.Operation() }
		err = x.readRange(ctx, h, resets, part, operations, func(known int64) {
			if known == part.To {
				h.lo = min(h.lo, part.From)
			}
		})
	}
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.resets != resets {
		return errRewound
	}
	h.lo = min(h.lo, needs) // there is nothing below the log's start
	return nil
}

// readRange notes those of a range that are wanted, and tells known, with the
// lock, up to where it has come.
func (x *Index) readRange(ctx context.Context, h *history, resets int, r kafka.LogRange, wanted func(letters.Header) bool, known func(int64)) error {
	if r.Len() == 0 {
		return nil
	}
	for chunk, err := range kafka.Whole(r, x.log.Read(ctx, r)) {
		if err != nil {
			return err
		}
		x.mu.Lock()
		if h.resets != resets {
			x.mu.Unlock()
			return errRewound
		}
		for _, record := range chunk.Records {
			if header, _, err := letters.Parse(record.Headers); err == nil && wanted(header) {
				h.add(record.Offset, header)
			}
		}
		known(chunk.Next)
		x.mu.Unlock()
	}
	return nil
}

var errRewound = errors.New("the log was truncated while it was read")
