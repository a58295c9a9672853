package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
)

var parkedNeed = []string{"dsn"}

var parkedCommands = []command{
	{name: "parked list", about: "the events that Kafka has refused for themselves, the last ones first", run: listParked, needs: parkedNeed,
		flags: func(c *call) {
			c.set.StringVar(&c.topic, "topic", "", "only events of this `topic`, without prefix")
			c.set.IntVar(&c.limit, "limit", 50, "at most so `many`; 0 is all")
		}},
	{name: "parked requeue", args: "[ID...]", about: "put parked events back into the outbox", needs: parkedNeed, flags: parkedFlags,
		run: changeParked("requeue", "requeued", func(ctx context.Context, o outbox, ids []uuid.UUID) (int, error) { return o.RequeueParked(ctx, ids...) })},
	{name: "parked discard", args: "[ID...]", about: "delete parked events: they are never sent", needs: parkedNeed, flags: parkedFlags,
		run: changeParked("discard", "discarded", func(ctx context.Context, o outbox, ids []uuid.UUID) (int, error) { return o.DiscardParked(ctx, ids...) })},
}

func parkedFlags(c *call) {
	c.set.StringVar(&c.topic, "topic", "", "all events of this `topic`, without prefix")
	c.set.BoolVar(&c.all, "all", false, "all parked events")
	c.set.BoolVar(&c.yes, "yes", false, "do it, also with more than one event")
	c.set.BoolVar(&c.dryRun, "dry-run", false, "only show what would be done, also with one event")
}

func listParked(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return &usageError{"parked list has no arguments"}
	}
	lib, err := c.database(ctx)
	if err != nil {
		return err
	}
	n := 0
	return c.parked(func(yield func(events.ParkedEvent, error) bool) {
		for e, err := range lib.ParkedEvents(ctx) {
			if err == nil && c.topic != "" && e.Topic != c.topic {
				continue
			}
			if !yield(e, err) {
				return
			}
			if n++; n == c.limit {
				return
			}
		}
	})
}

// parked shows events.
func (c *call) parked(list func(yield func(events.ParkedEvent, error) bool)) error {
	var row func(...any)
	flush := func() error { return nil }
	if !c.json {
		row, flush = c.table("PARKED CREATED EVENT TOPIC KEY BYTES ERROR")
	}
	for e, err := range list {
		if err != nil {
			return err
		}
		if c.json {
			if err := c.line(e); err != nil {
				return err
			}
			continue
		}
		row(stamp(e.ParkedAt), stamp(e.CreatedAt), e.ID, e.Topic, shorten(printable(e.Key), 40), e.PayloadSize, shorten(e.Error, 100))
	}
	return flush()
}

// changeBatch is how many parked events are changed at a time.
const changeBatch = 500

func changeParked(op, past string, apply func(context.Context, outbox, []uuid.UUID) (int, error)) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		ids, err := c.parkedIDs()
		if err != nil {
			return err
		}
		lib, err := c.database(ctx)
		if err != nil {
			return err
		}
		matched, err := wantedParked(ctx, lib, c, ids)
		if err != nil {
			return err
		}
		missing := 0
		if len(ids) > 0 {
			missing = len(ids) - len(matched)
		}
		doIt := !c.dryRun && (c.yes || len(ids) == 1)
		done := 0
		p := c.progress("events " + past)
		for rest := matched; doIt && len(rest) > 0; {
			batch := rest[:min(len(rest), changeBatch)]
			rest = rest[len(batch):]
			n, err := apply(ctx, lib, batch)
			if err != nil {
				p.end()
				return fmt.Errorf("%w (%d were %s before)", err, done, past)
			}
			done += n
			p.tell(int64(done), int64(len(matched)))
		}
		p.end()
		if err := c.toldParked(op, past, result{Operation: op, DryRun: !doIt, Matched: len(matched), Done: done, Failed: missing}); err != nil {
			return err
		}
		switch {
		case !doIt && !c.dryRun && len(matched) > 0:
			fmt.Fprintf(c.err, "nothing was done; add -yes to %s %d\n", op, len(matched))
			return errNeedsYes
		case missing > 0:
			return errPart
		}
		return nil
	}
}

func (c *call) toldParked(op, past string, r result) error {
	if c.json {
		return c.line(r)
	}
	if r.Failed > 0 {
		fmt.Fprintf(c.err, "%d of the ids are not parked (any more)\n", r.Failed)
	}
	if r.DryRun {
		fmt.Fprintf(c.out, "%d would be %s\n", r.Matched, past)
	} else {
		fmt.Fprintf(c.out, "%d %s%s\n", r.Done, were(r.Done), past)
	}
	return nil
}

// parkedIDs are the arguments.
func (c *call) parkedIDs() ([]uuid.UUID, error) {
	seen := make(map[uuid.UUID]bool)
	var ids []uuid.UUID
	for _, arg := range c.args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, &usageError{fmt.Sprintf("%q is no event id, as parked list shows them", arg)}
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0 && c.topic == "" && !c.all:
		return nil, &usageError{"which events? Give their ids, -topic or -all"}
	case len(ids) > 0 && (c.topic != "" || c.all):
		return nil, &usageError{"give ids, or -topic or -all, not both"}
	}
	return ids, nil
}

// wantedParked are the parked events that the arguments or flags choose.
func wantedParked(ctx context.Context, lib outbox, c *call, ids []uuid.UUID) (matched []uuid.UUID, err error) {
	wanted := make(map[uuid.UUID]bool)
	for _, id := range ids {
		wanted[id] = true
	}
	for e, err := range lib.ParkedEvents(ctx) {
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 && !wanted[e.ID] || c.topic != "" && e.Topic != c.topic {
			continue
		}
		delete(wanted, e.ID)
		matched = append(matched, e.ID)
		if len(ids) > 0 && len(wanted) == 0 {
			break
		}
	}
	slices.Reverse(matched) // requeued in the order in which they were produced
	return matched, nil
}
