package events

import (
	"context"
	"fmt"
	"iter"
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
