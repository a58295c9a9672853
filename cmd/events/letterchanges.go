package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/seed46dd6f11/events"
)

// change is replay, discard and reopen.
func change(op events.LetterOp) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		if err := c.letterIDs(); err != nil {
			return err
		}
		filtered := false
		for _, name := range []string{"topic", "handler", "cause", "since", "until", "state"} {
			filtered = filtered || c.given(name)
		}
		switch {
		case len(c.ids) == 0 && !filtered && !c.all:
			return &usageError{"which letters? Give their ids, a filter (-cause for example), or -all"}
		case len(c.ids) > 0 && (filtered || c.all):
			return &usageError{"give ids or a filter, not both"}
		case c.payload != "" && len(c.ids) != 1:
			return &usageError{"-payload is for one letter, named by its id"}
		case c.wait < 0:
			return &usageError{"-wait cannot be negative"}
		}
		action, err := c.action()
		if err != nil {
			return err
		}
		letters, err := c.letters(ctx)
		if err != nil {
			return err
		}
		if len(c.ids) == 1 && !c.dryRun {
			return c.changeOne(ctx, letters, op, action)
		}
		return c.changeMany(ctx, letters, op, action)
	}
}

// given says whether a flag was set.
func (c *call) given(name string) (given bool) {
	c.set.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func (c *call) action() (events.LetterAction, error) {
	action := events.LetterAction{By: c.by, Reason: c.reason}
	if action.By == "" {
		action.By = c.getenv("USER")
	}
	if c.payload != "" {
		payload, err := os.ReadFile(c.payload)
		if err != nil {
			return action, fmt.Errorf("-payload: %w", err)
		}
		action.Edit = func([]byte) ([]byte, error) { return payload, nil }
	}
	return action, nil
}

// changeOne does it at once.
func (c *call) changeOne(ctx context.Context, letters *events.DeadLetters, op events.LetterOp, action events.LetterAction) error {
	seen, err := letters.Show(ctx, c.ids[0])
	if err != nil {
		return err
	}
	var replay *events.LetterReplay
	switch op {
	case events.ReplayLetters:
		replay, err = letters.Replay(ctx, action, seen.Letter)
	case events.DiscardLetters:
		err = letters.Discard(ctx, action, seen.Letter)
	case events.ReopenLetters:
		err = letters.Reopen(ctx, action, seen.Letter)
	}
	if errors.Is(err, events.ErrLetterConflict) {
		fmt.Fprintln(c.err, "events:", err)
		return errPart
	}
	if err != nil {
		return err
	}
	done := events.LetterBulkResult{Matched: 1, Done: 1, Replay: replay}
	if err := c.told(op, false, done); err != nil {
		return err
	}
	return c.outcomes(ctx, replay)
}

// changeMany looks what would be done, and does it if it was told to.
func (c *call) changeMany(ctx context.Context, letters *events.DeadLetters, op events.LetterOp, action events.LetterAction) error {
	doIt := c.yes && !c.dryRun
	reading, writing := c.progress("offsets read"), c.progress("letters done")
	defer reading.end()
	defer writing.end()
	filter := c.filter()
	filter.Progress = reading.tell
	if len(c.ids) > 0 {
		filter.States = nil // so that it is told why nothing is done with one
	}
	missing := make(map[events.LetterID]bool)
	for _, id := range c.ids {
		missing[id] = true
	}
	bulk := events.LetterBulk{Op: op, Action: action, DryRun: !doIt, Letters: letters.List(ctx, filter), Progress: func(r events.LetterBulkResult) {
		reading.end()
		writing.tell(int64(r.Done), 0)
	}}
	if len(c.ids) > 0 {
		bulk.Letters = only(bulk.Letters, missing)
	}
	result, err := letters.Bulk(ctx, bulk)
	reading.end()
	writing.end()
	if err != nil && result.Done == 0 {
		return err
	}
	for _, id := range c.ids {
		if err == nil && missing[id] { // else the list was not read to its end
			result.Failed++
			result.Errors = append(result.Errors, fmt.Errorf("letter %s: %w", id, events.ErrLetterNotFound))
		}
	}
	if err := errors.Join(err, c.told(op, !doIt, result)); err != nil {
		return err
	}
	if !doIt {
		if c.dryRun || result.Matched == 0 {
			return part(result)
		}
		fmt.Fprintf(c.err, "nothing was done; add -yes to %s %d\n", op, result.Matched)
		return errNeedsYes
	}
	return errors.Join(part(result), c.outcomes(ctx, result.Replay))
}

func part(result events.LetterBulkResult) error {
	if result.Failed > 0 {
		return errPart
	}
	return nil
}

// only lets through the letters that are wanted, takes them out of wanted, and
// ends with the last one.
func only(letters iter.Seq2[events.Letter, error], wanted map[events.LetterID]bool) iter.Seq2[events.Letter, error] {
	return func(yield func(events.Letter, error) bool) {
		for l, err := range letters {
			if err == nil && !wanted[l.ID] {
				continue
			}
			delete(wanted, l.ID)
			if !yield(l, err) || len(wanted) == 0 {
				return
			}
		}
	}
}

// result is a line of what was done, or would be.
type result struct {
	Operation string               `json:"operation"`
	DryRun    bool                 `json:"dry_run"`
	Matched   int                  `json:"matched"`
	Done      int                  `json:"done"`
	Skipped   int                  `json:"skipped"`
	Failed    int                  `json:"failed"`
	Causes    []events.LetterCause `json:"causes,omitempty"`
	Errors    []string             `json:"errors,omitempty"`
}

func (c *call) told(op events.LetterOp, dry bool, r events.LetterBulkResult) error {
	if c.json {
		line := result{Operation: string(op), DryRun: dry, Matched: r.Matched, Done: r.Done, Skipped: r.Skipped, Failed: r.Failed, Causes: r.Causes}
		for _, err := range r.Errors {
			line.Errors = append(line.Errors, err.Error())
		}
		return c.line(line)
	}
	if dry && len(r.Causes) > 0 {
		if err := c.causes(r.Causes); err != nil {
			return err
		}
	}
	for _, err := range r.Errors {
		fmt.Fprintln(c.err, oneLine(err.Error()))
	}
	if more := r.Failed - len(r.Errors); more > 0 {
		fmt.Fprintf(c.err, "and %d errors more\n", more)
	}
	past := map[events.LetterOp]string{events.ReplayLetters: "replayed", events.DiscardLetters: "discarded", events.ReopenLetters: "reopened"}[op]
	verb, n := were(r.Done)+past, r.Done
	if dry {
		verb, n = "would be "+past, r.Matched
	}
	var rest []string
	if r.Skipped > 0 {
		rest = append(rest, fmt.Sprintf("%d passed over for their state", r.Skipped))
	}
	if r.Failed > 0 {
		rest = append(rest, fmt.Sprintf("%d failed", r.Failed))
	}
	text := fmt.Sprintf("%d %s", n, verb)
	if len(rest) > 0 {
		text += "; " + strings.Join(rest, ", ")
	}
	fmt.Fprintln(c.out, text)
	return nil
}

func were(n int) string {
	if n == 1 {
		return "was "
	}
	return "were "
}

// outcomes waits for those of replays.
func (c *call) outcomes(ctx context.Context, replay *events.LetterReplay) error {
	if replay == nil || replay.Len() == 0 || c.wait == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	p := c.progress("replays ended")
	defer p.end()
	failed, n := 0, 0
	for o, err := range replay.Outcomes(limited) {
		p.end()
		if err != nil {
			if ctx.Err() == nil && limited.Err() != nil {
				fmt.Fprintf(c.err, "%d of %d replays have not ended in %v; they stay asked for. Does an instance with the handler run?\n", replay.Len()-n, replay.Len(), c.wait)
				return errPart
			}
			return err
		}
		n++
		if o.Result != events.ReplayDone {
			failed++
		}
		if c.json {
			if err := c.line(o); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(c.out, oneLine(outcome(o)))
		}
		p.tell(int64(n), int64(replay.Len()))
	}
	if failed > 0 {
		return errPart
	}
	return nil
}

func outcome(o events.ReplayOutcome) string {
	switch o.Result {
	case events.ReplayFailed:
		return fmt.Sprintf("%s failed again: %s", o.ID, shorten(o.Error, 200))
	case events.ReplayOvertaken:
		return fmt.Sprintf("%s was overtaken: %s by %s", o.ID, o.Op, dashed(o.By))
	}
	return fmt.Sprintf("%s done in %v", o.ID, o.Took.Round(time.Millisecond))
}
