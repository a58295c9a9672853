package events

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/seed46dd6f11/events/internal/letterdesk"
	"github.com/seed46dd6f11/events/internal/letters"
)

// LetterOp is an operation on letters.
type LetterOp string

// The operations of [DeadLetters.Bulk].
const (
	ReplayLetters  LetterOp = "replay"
	DiscardLetters LetterOp = "discard"
	ReopenLetters  LetterOp = "reopen"
)

var letterOps = map[LetterOp]letters.Kind{ReplayLetters: letters.Replay, DiscardLetters: letters.Discard, ReopenLetters: letters.Reopen}

// LetterBulk says what is to be done with many letters.
type LetterBulk struct {
	Op     LetterOp
	Action LetterAction
	// Letters are the letters, DeadLetters.List's for example. Those for whose
	// state the operation is not are passed over.
	Letters iter.Seq2[Letter, error]
	// DryRun only looks what would be done.
	DryRun bool
	// Progress, if it is not nil, is called from time to time.
	Progress func(LetterBulkResult)
}

// LetterBulkResult is what was done, or would be.
type LetterBulkResult struct {
	// Matched is the number of letters that the operation is for, Done how many
	// of them were written, Skipped the number of others.
	Matched, Done, Skipped int
	// Failed is how many were not written, or had no effect; Errors are the
	// first 20 of their errors.
	Failed int
	Errors []error
	// Causes are the problems of the letters that matched.
	Causes []LetterCause
	// Replay is there to wait for the outcomes of replays.
	Replay *LetterReplay
}

const (
	bulkBatch  = 500
	bulkErrors = 20
)

// Bulk does the same with many letters, a batch of them at a time; replays are
// asked for in the opposite order of Letters, so that what List yields is
// handled again the oldest first. Letters that somebody else changes meanwhile
// are among those that failed. The error is that of listing the letters, or
// ctx's; what was done by then stays done.
func (d *DeadLetters) Bulk(ctx context.Context, bulk LetterBulk) (LetterBulkResult, error) {
	kind, ok := letterOps[bulk.Op]
	if !ok {
		return LetterBulkResult{}, fmt.Errorf("bulk operation %q: use replay, discard or reopen", bulk.Op)
	}
	desk, err := d.desk()
	if err != nil {
		return LetterBulkResult{}, fmt.Errorf("%s dead letters: %w", bulk.Op, err)
	}
	b := &bulkRun{DeadLetters: d, session: desk.Session(), bulk: bulk, kind: kind, result: LetterBulkResult{Replay: &LetterReplay{letters: d}}}
	for l, err := range bulk.Letters {
		if err == nil {
			err = b.take(ctx, &l)
		}
		if err != nil {
			return b.done(), err
		}
	}
	for _, kept := range slices.Backward(b.kept) {
		if err := b.add(ctx, kept.letter()); err != nil {
			return b.done(), err
		}
	}
	err = b.flush(ctx)
	return b.done(), err
}

// bulkRun is one call of Bulk.
type bulkRun struct {
	*DeadLetters
	session *letterdesk.Session
	bulk    LetterBulk
	kind    letters.Kind
	kept    []keptLetter // of a replay: it begins with the last one
	places  map[letterPlace]*letterPlace
	batch   []Letter
	causes  causes
	result  LetterBulkResult
}

// keptLetter is what has to be known of a letter until it is replayed. There
// may be a million of them.
type keptLetter struct {
	id                    LetterID
	record, failure, asOf int64
	place                 *letterPlace
}

// letterPlace is the same for many letters.
type letterPlace struct {
	deadLetterTopic, topic, handler string
	partition                       int32
	state                           LetterState
}

func (k keptLetter) letter() Letter {
	return Letter{
		ID: k.id, State: k.place.state, Topic: k.place.topic, Handler: k.place.handler,
		DeadLetterTopic: k.place.deadLetterTopic, Partition: k.place.partition, Record: k.record, Failure: k.failure, AsOf: k.asOf,
	}
}

// take looks at the next letter, and does something with it unless it has to
// wait.
func (b *bulkRun) take(ctx context.Context, l *Letter) error {
	if letterdesk.Allowed(b.kind, b.item(l)) != nil {
		b.result.Skipped++
		return nil
	}
	b.result.Matched++
	b.causes.add(l)
	switch {
	case b.bulk.DryRun:
		return nil
	case b.kind != letters.Replay:
		return b.add(ctx, *l)
	}
	place := letterPlace{l.DeadLetterTopic, l.Topic, l.Handler, l.Partition, l.State}
	if b.places[place] == nil {
		if b.places == nil {
			b.places = make(map[letterPlace]*letterPlace)
		}
		b.places[place] = &place
	}
	b.kept = append(b.kept, keptLetter{l.ID, l.Record, l.Failure, l.AsOf, b.places[place]})
	return nil
}

// add does it with a letter, once there are enough for a batch.
func (b *bulkRun) add(ctx context.Context, l Letter) error {
	if b.batch = append(b.batch, l); len(b.batch) < bulkBatch {
		return nil
	}
	return b.flush(ctx)
}

func (b *bulkRun) flush(ctx context.Context) error {
	if len(b.batch) == 0 {
		return nil
	}
	var into *LetterReplay
	if b.kind == letters.Replay {
		into = b.result.Replay
	}
	failed := b.applyIn(ctx, b.session, b.kind, b.bulk.Action, b.batch, into)
	b.result.Failed += len(failed)
	b.result.Done += len(b.batch) - len(failed)
	b.result.Errors = append(b.result.Errors, failed[:min(len(failed), bulkErrors-len(b.result.Errors))]...)
	b.batch = b.batch[:0]
	if b.bulk.Progress != nil {
		b.bulk.Progress(b.result)
	}
	return ctx.Err()
}

func (b *bulkRun) done() LetterBulkResult {
	b.result.Causes = b.causes.sorted()
	return b.result
}
