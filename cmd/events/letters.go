package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed46dd6f11/events"
)

var lettersNeed = []string{"brokers", "group"}

var letterCommands = []command{
	{name: "letters list", about: "the letters of a group, those that failed last first", run: listLetters, needs: lettersNeed,
		flags: func(c *call) {
			c.filterFlags("all")
			c.set.IntVar(&c.limit, "limit", 50, "at most so `many`; 0 is all")
			c.set.StringVar(&c.after, "after", "", "continue behind this `cursor`, which the last list has told")
		}},
	{name: "letters causes", about: "the problems that letters have in common", run: letterCauses, needs: lettersNeed,
		flags: func(c *call) { c.filterFlags("open") }},
	{name: "letters show", args: "ID...", about: "a letter, its history and its event", run: showLetters, needs: lettersNeed},
	{name: "letters replay", args: "[ID...]", about: "have letters handled once more, by the handlers that failed", run: change(events.ReplayLetters), needs: lettersNeed,
		flags: func(c *call) {
			c.changeFlags("saved,waiting")
			c.set.StringVar(&c.payload, "payload", "", "replay one letter with the payload in this `file`")
			c.set.DurationVar(&c.wait, "wait", 0, "wait so `long` for the outcomes; 0 does not wait")
		}},
	{name: "letters discard", args: "[ID...]", about: "put letters aside", run: change(events.DiscardLetters), needs: lettersNeed,
		flags: func(c *call) { c.changeFlags("open") }},
	{name: "letters reopen", args: "[ID...]", about: "undo discard", run: change(events.ReopenLetters), needs: lettersNeed,
		flags: func(c *call) { c.changeFlags("discarded") }},
}

func (c *call) filterFlags(state string) {
	c.set.StringVar(&c.topic, "topic", "", "only letters of this `topic`, without prefix")
	c.set.StringVar(&c.handler, "handler", "", "only letters of this `handler`")
	c.set.StringVar(&c.cause, "cause", "", "only letters with this `cause`")
	c.set.StringVar(&c.state, "state", state, "only letters in these `states`: open, all, or some of saved,waiting,replaying,done,discarded,foreign")
	c.set.StringVar(&c.since, "since", "", "only what failed since then: a `time`, or how long ago, as 36h")
	c.set.StringVar(&c.until, "until", "", "only what failed before then: a `time`, or how long ago")
}

func (c *call) changeFlags(state string) {
	c.filterFlags(state)
	c.set.BoolVar(&c.all, "all", false, "all letters that the operation is for")
	c.set.BoolVar(&c.yes, "yes", false, "do it, also with more than one letter")
	c.set.BoolVar(&c.dryRun, "dry-run", false, "only show what would be done, also with one letter")
	c.set.StringVar(&c.by, "by", "", "`who` does it, for the letters' histories (EVENTS_BY; default USER)")
	c.set.StringVar(&c.reason, "reason", "", "`why`, for the letters' histories")
}

// filter is what the flags say.
func (c *call) filter() events.LetterFilter {
	return events.LetterFilter{
		Topic: c.topic, Handler: c.handler, Cause: c.cause, States: c.states, Since: c.sinceTime, Until: c.untilTime,
		Limit: c.limit, After: events.LetterCursor(c.after),
	}
}

// letters are the group's.
func (c *call) letters(ctx context.Context) (*events.DeadLetters, error) {
	lib, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return lib.DeadLetters(events.NewConsumerGroup(c.group)), nil
}

// listed is a line of letters list -json.
type listed struct {
	events.Letter
	Cursor events.LetterCursor `json:"cursor"`
}

func listLetters(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return &usageError{"letters list has no arguments; see letters show for one letter"}
	}
	letters, err := c.letters(ctx)
	if err != nil {
		return err
	}
	p := c.progress("offsets read")
	defer p.end()
	filter := c.filter()
	filter.Progress = p.tell
	row, flush := c.table("TIME STATE LETTER HANDLER TOPIC ATTEMPTS ERROR")
	if c.json {
		row, flush = nil, func() error { return nil }
	}
	var last events.LetterCursor
	n := 0
	for l, err := range letters.List(ctx, filter) {
		if err != nil {
			return errors.Join(flush(), err)
		}
		p.end()
		last = l.Cursor()
		n++
		if c.json {
			if err := c.line(listed{l, last}); err != nil {
				return err
			}
			continue
		}
		row(stamp(l.Time), l.State, l.ID, or(l.Handler), or(l.Topic), l.Attempts, shorten(l.Error, 80))
		if n%100 == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if c.limit > 0 && n == c.limit && !c.json {
		fmt.Fprintf(c.err, "there may be more: -after %s\n", last)
	}
	return nil
}

func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func letterCauses(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return &usageError{"letters causes has no arguments"}
	}
	letters, err := c.letters(ctx)
	if err != nil {
		return err
	}
	p := c.progress("offsets read")
	defer p.end()
	filter := c.filter()
	filter.Progress = p.tell
	causes, err := letters.Causes(ctx, filter)
	p.end()
	if err != nil {
		return err
	}
	return c.causes(causes)
}

func (c *call) causes(causes []events.LetterCause) error {
	if c.json {
		for _, cause := range causes {
			if err := c.line(cause); err != nil {
				return err
			}
		}
		return nil
	}
	row, flush := c.table("COUNT HANDLER TOPIC OLDEST NEWEST CAUSE EXAMPLE ERROR")
	for _, cause := range causes {
		row(cause.Count, or(cause.Handler), or(cause.Topic), stamp(cause.Oldest), stamp(cause.Newest), or(cause.Cause), cause.Example.ID, shorten(cause.Example.Error, 80))
	}
	return flush()
}

// letterIDs are the arguments.
func (c *call) letterIDs() error {
	for _, arg := range c.args {
		id, err := events.ParseLetterID(arg)
		if err != nil {
			return &usageError{err.Error()}
		}
		if !slices.Contains(c.ids, id) {
			c.ids = append(c.ids, id)
		}
	}
	return nil
}

func showLetters(ctx context.Context, c *call) error {
	if err := c.letterIDs(); err != nil {
		return err
	}
	if len(c.ids) == 0 {
		return &usageError{"which letter? letters list shows their ids"}
	}
	letters, err := c.letters(ctx)
	if err != nil {
		return err
	}
	for _, id := range c.ids {
		history, err := letters.Show(ctx, id)
		if err != nil {
			return err
		}
		if c.json {
			err = c.line(history)
		} else {
			err = c.show(&history)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *call) show(h *events.LetterHistory) error {
	row, flush := c.table("")
	for _, field := range []struct {
		name  string
		value any
	}{
		{"letter", h.ID}, {"state", h.State}, {"handler", h.Handler}, {"topic", h.Topic}, {"error", h.Error}, {"cause", h.Cause}, {"attempts", h.Attempts},
		{"first failure", stamp(h.First)}, {"last failure", stamp(h.Last)}, {"not before", stamp(h.NotBefore)},
		{"origin", fmt.Sprintf("%s/%d/%d", h.OriginTopic, h.OriginPartition, h.OriginOffset)},
		{"lies in", fmt.Sprintf("%s/%d", h.DeadLetterTopic, h.Partition)}, {"key", printable(h.Key)},
	} {
		row(field.name, field.value)
	}
	for _, header := range h.Headers {
		row("header "+header.Key, printable(header.Value))
	}
	row("payload", printable(h.Payload))
	if err := flush(); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	row, flush = c.table("OFFSET TIME KIND EFFECT BY WHAT")
	for _, r := range h.Records {
		effect, what := "yes", r.Error
		if !r.Effect {
			effect = "no"
		}
		if what == "" {
			what = r.Reason
		}
		row(r.Offset, stamp(r.Time), r.Kind, effect, or(r.By), or(shorten(what, 100)))
	}
	return flush()
}

// printable shows bytes as text, if they are some.
func printable(b []byte) string {
	switch {
	case b == nil:
		return "(none)"
	case utf8.Valid(b):
		return string(b)
	}
	return fmt.Sprintf("%d bytes: %s", len(b), shorten(fmt.Sprintf("%x", b), 160))
}

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
	for id := range missing {
		result.Failed++
		result.Errors = append(result.Errors, fmt.Errorf("letter %s: %w", id, events.ErrLetterNotFound))
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
		return fmt.Sprintf("%s was overtaken: %s by %s", o.ID, o.Op, or(o.By))
	}
	return fmt.Sprintf("%s done in %v", o.ID, o.Took.Round(time.Millisecond))
}
