package events

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/letterdesk"
	"github.com/seed46dd6f11/events/internal/letters"
)

// ReplayResult is what has become of a replay.
type ReplayResult string

// The results of replays.
const (
	// ReplayDone: the handler has succeeded.
	ReplayDone ReplayResult = "done"
	// ReplayFailed: it has failed again; Error says with what.
	ReplayFailed ReplayResult = "failed"
	// ReplayOvertaken: somebody else has done something with the letter before
	// the handler was through.
	ReplayOvertaken ReplayResult = "overtaken"
)

// ReplayOutcome is the outcome of a letter's replay.
type ReplayOutcome struct {
	ID     LetterID     `json:"id"`
	Replay string       `json:"replay"`
	Result ReplayResult `json:"result"`
	// Error and Cause are the new failure's.
	Error string `json:"error,omitempty"`
	Cause string `json:"cause,omitempty"`
	// Op and By are what has overtaken the replay, and whose it was.
	Op string `json:"op,omitempty"`
	By string `json:"by,omitempty"`
	// Took is how long the handler took to succeed.
	Took time.Duration `json:"took,omitempty"`
}

// LetterReplay are replays that were asked for.
type LetterReplay struct {
	letters *DeadLetters
	written []letterdesk.Written
}

// add keeps only what is needed to follow the replay.
func (r *LetterReplay) add(w letterdesk.Written) {
	w.Item = letterdesk.Item{Place: w.Item.Place, Header: letters.Header{ID: w.Item.Header.ID}}
	r.written = append(r.written, w)
}

// Len is the number of letters that are replayed.
func (r *LetterReplay) Len() int { return len(r.written) }

// Outcomes yields the outcome of each replay as it comes. A replay has none as
// long as no instance runs the handler: bound ctx. Its end, or another error, is
// the last thing that is yielded; the replays stay asked for.
func (r *LetterReplay) Outcomes(ctx context.Context) iter.Seq2[ReplayOutcome, error] {
	return func(yield func(ReplayOutcome, error) bool) {
		if len(r.written) == 0 {
			return
		}
		desk, err := r.letters.desk()
		if err != nil {
			yield(ReplayOutcome{}, fmt.Errorf("wait for replays: %w", err))
			return
		}
		for o, err := range desk.Outcomes(ctx, r.written) {
			if err != nil {
				yield(ReplayOutcome{}, fmt.Errorf("wait for replays (they stay asked for): %w", err))
				return
			}
			out := ReplayOutcome{ID: LetterID(o.Item.Header.ID), Replay: o.Replay, Result: ReplayDone, Took: o.Header.Took}
			switch {
			case o.Overtaken():
				out.Result, out.Op, out.By = ReplayOvertaken, o.Header.Kind.String(), o.Header.By
			case o.Header.Kind == letters.Letter:
				out.Result, out.Error, out.Cause = ReplayFailed, o.Header.Error, o.Header.Cause
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// Wait waits for the outcomes of all replays. On an error it returns those that
// were known by then.
func (r *LetterReplay) Wait(ctx context.Context) ([]ReplayOutcome, error) {
	var outcomes []ReplayOutcome
	for o, err := range r.Outcomes(ctx) {
		if err != nil {
			return outcomes, err
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

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

// causes groups letters, the newest of each group first.
type causes struct {
	groups map[[3]string]*LetterCause
}

func (c *causes) add(l *Letter) {
	key := [3]string{l.Topic, l.Handler, l.Cause}
	group := c.groups[key]
	if group == nil {
		if c.groups == nil {
			c.groups = make(map[[3]string]*LetterCause)
		}
		group = &LetterCause{Topic: l.Topic, Handler: l.Handler, Cause: l.Cause, Newest: l.Time, Oldest: l.Time, Example: *l}
		c.groups[key] = group
	}
	group.Count++
	if l.Time.After(group.Newest) {
		group.Newest, group.Example = l.Time, *l
	}
	if l.Time.Before(group.Oldest) {
		group.Oldest = l.Time
	}
}

func (c *causes) sorted() []LetterCause {
	all := make([]LetterCause, 0, len(c.groups))
	for _, group := range c.groups {
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b LetterCause) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Handler, b.Handler), cmp.Compare(a.Cause, b.Cause))
	})
	return all
}
