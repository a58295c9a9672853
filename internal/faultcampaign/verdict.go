//go:build linux

package faultcampaign

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

const (
	// arrival is how long what is on its way may need after everything runs
	// again: a rebalance and a lease, letters, a backoff, all on a busy machine.
	arrival = 3 * time.Minute
	// What a process may keep beside what it had before.
	moreGoroutines = 60
	moreSockets    = 12
	moreHeap       = 48 << 20
)

// heals says whether waiting can make a violation go away.
func heals(v checker.Violation) bool {
	switch v.Rule {
	case checker.Lost, checker.EffectMissing, checker.NotLogged, checker.BroadcastLost, checker.LetterMissing:
		return true
	case checker.LetterUncalled:
		return v.Handler == service.Mail // a letter that is tried again
	}
	return false
}

// settle waits until everything has arrived, or the time for it is over, and
// returns what was found.
func (c *campaign) settle(ctx context.Context) (entries []checker.Entry, report checker.Report, err error) {
	deadline := time.Now().Add(arrival)
	for {
		// As long as these are not done there is no use in reading everything.
		waiting, waitErr := c.waiting(ctx)
		if waitErr == nil && waiting == "" || time.Now().After(deadline) {
			if waiting != "" || waitErr != nil {
				c.history.violated("after %v: %s %v", arrival, waiting, waitErr)
			}
			if entries, err = c.evidence(ctx); err != nil {
				return nil, report, err
			}
			report = checker.Check(entries, checker.Options{})
			if time.Now().After(deadline) || !slices.ContainsFunc(report.Violations, heals) {
				return entries, report, nil
			}
		}
		if !sleep(ctx, time.Second) {
			return nil, report, ctx.Err()
		}
		if err := c.fleet.died(); err != nil {
			return nil, report, err
		}
	}
}

// waiting says what is still on its way, "" if nothing is.
func (c *campaign) waiting(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rows, err := c.database.number(ctx, `SELECT COUNT(*) FROM events_outbox WHERE scope = '`+c.fleet.prefix+`'`)
	if err != nil {
		return "", err
	}
	if rows > 0 {
		return fmt.Sprintf("%d rows are in the outbox", rows), nil
	}
	return c.stream.lag(ctx)
}

// measure asks all processes what they use, once they are quiet.
func (c *campaign) measure() map[int]service.Report {
	reports := map[int]service.Report{}
	for _, s := range c.fleet.places()[:c.options.Processes] {
		p := s.current()
		if p == nil {
			continue
		}
		r, err := p.report(30 * time.Second)
		if err != nil {
			c.history.violated("process %s: %v", p.config.Name, err)
			continue
		}
		reports[s.number] = r
	}
	return reports
}

// compareUse looks for what processes have not given back. Any of them can be
// the relay at the end, so each may use what the one that used most used before.
func (c *campaign) compareUse(ctx context.Context, before map[int]service.Report) {
	var most service.Report
	for _, r := range before {
		most.Goroutines, most.Sockets, most.Heap = max(most.Goroutines, r.Goroutines), max(most.Sockets, r.Sockets), max(most.Heap, r.Heap)
	}
	var texts []string
	for range 30 { // connections that are idle end after a while
		texts = nil
		for slot, r := range c.measure() {
			if r.Goroutines > most.Goroutines+moreGoroutines || r.Sockets > most.Sockets+moreSockets || r.Heap > most.Heap+moreHeap {
				texts = append(texts, fmt.Sprintf("process %d has %d goroutines, %d sockets and %d KiB, before one had %d, %d and %d", slot,
					r.Goroutines, r.Sockets, r.Heap>>10, most.Goroutines, most.Sockets, most.Heap>>10))
			} else {
				c.history.say("process %d: %d goroutines, %d sockets, %d KiB; before at most %d, %d and %d", slot,
					r.Goroutines, r.Sockets, r.Heap>>10, most.Goroutines, most.Sockets, most.Heap>>10)
			}
		}
		if len(texts) == 0 || !sleep(ctx, 2*time.Second) {
			break
		}
	}
	for _, text := range texts {
		c.history.violated("%s", text)
	}
}

// shown is how many violations are shown with their history.
const shown = 5

// conclude prints what was found; it is an error if something was violated.
func (c *campaign) conclude(entries []checker.Entry, report checker.Report) error {
	out := c.options.Out
	fmt.Fprintf(out, "\nseed %d, %v on %s, %d processes: %v\n", c.options.Seed, c.options.Length, c.options.Backend, c.options.Processes, report)
	var kinds []string
	for kind, n := range c.history.counts {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	fmt.Fprintf(out, "faults: %s\n", strings.Join(kinds, ", "))
	for i, v := range report.Violations {
		fmt.Fprintf(out, "VIOLATION: %v\n", v)
		if i >= shown {
			continue
		}
		history := checker.Concerning(entries, v)
		for j, e := range history {
			if j == 200 {
				fmt.Fprintf(out, "    ... %d more\n", len(history)-j)
				break
			}
			fmt.Fprintf(out, "    %s\n", checker.Line(e))
		}
	}
	if n := len(report.Violations) + len(c.history.violations()); n > 0 {
		for _, text := range c.history.violations() {
			fmt.Fprintf(out, "VIOLATION: %s\n", text)
		}
		return fmt.Errorf("%d violations; the same schedule again: %s", n, c.options.again())
	}
	return nil
}
