package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		row(stamp(l.Time), l.State, l.ID, dashed(l.Handler), dashed(l.Topic), l.Attempts, shorten(l.Error, 80))
		if n%100 == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if n == 0 && !c.json {
		c.nothing()
	}
	if c.limit > 0 && n == c.limit && !c.json {
		fmt.Fprintf(c.err, "there may be more: -after %s\n", last)
	}
	return nil
}

// dashed shows that a text is empty.
func dashed(text string) string {
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
	if len(causes) == 0 && !c.json {
		c.nothing()
	}
	return c.causes(causes)
}

// nothing tells an empty table from one of a group that nobody has: Kafka does
// not know the difference.
func (c *call) nothing() {
	fmt.Fprintf(c.err, "no such letters in the topics %s*.%s.dead-letter\n", c.prefix, c.group)
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
		row(cause.Count, dashed(cause.Handler), dashed(cause.Topic), stamp(cause.Oldest), stamp(cause.Newest), dashed(cause.Cause), cause.Example.ID, shorten(cause.Example.Error, 80))
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
		row(r.Offset, stamp(r.Time), r.Kind, effect, dashed(r.By), dashed(shorten(what, 100)))
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
