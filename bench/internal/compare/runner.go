package compare

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"time"
)

// Runner runs measurements.
type Runner struct {
	// Rounds is how often each contender has its turn.
	Rounds int
	// Only chooses contenders by name; nil takes all.
	Only *regexp.Regexp
	// Profiles is a folder for a profile of each trial; "" makes none.
	Profiles string
	// Progress is told of each trial as soon as it has ended; nil is not.
	Progress func(m Measurement, round int, contender string, s Sample, err error)
}

// Result is what a measurement has found.
type Result struct {
	Measurement
	Standings []Standing
}

// Standing is what one contender has achieved, a sample a round.
type Standing struct {
	Contender
	Samples []Sample
	Errs    []error
}

// ours is the first contender that is no peer; the zero Standing if there is
// none.
func (r Result) ours() Standing {
	for _, s := range r.Standings {
		if !s.Peer {
			return s
		}
	}
	return Standing{}
}

// standing is that of the contender with the name, else the zero Standing.
func (r Result) standing(name string) Standing {
	for _, s := range r.Standings {
		if s.Name == name {
			return s
		}
	}
	return Standing{}
}

func (s Standing) rate() Spread { return over(s.Samples, Sample.Rate) }

// quantile is that of latencies, in milliseconds.
func (s Standing) quantile(what string, q float64) Spread {
	return over(s.Samples, func(s Sample) float64 { return milliseconds(s.Quantile(what, q)) })
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// latencies are the names of what took time, in the order of the first sample.
func (r Result) latencies() []string {
	var names []string
	for _, standing := range r.Standings {
		for _, sample := range standing.Samples {
			for _, l := range sample.Latencies {
				if !slices.Contains(names, l.What) {
					names = append(names, l.What)
				}
			}
		}
	}
	return names
}

// Run gives each contender its turn in every round. Each round begins with the
// contender after the one that the last began with, so that nobody is always the
// one that comes after a rest, or after a certain other. A contender that fails
// takes no part in the later rounds; the others go on. The error says what has
// failed, and the result is there all the same.
func (r Runner) Run(ctx context.Context, m Measurement) (result Result, err error) {
	result.Measurement = m
	var cleanup Cleanup
	defer func() { err = errors.Join(err, named(m.Name, cleanup.Run(ctx))) }()
	contenders, err := m.Open(ctx, &cleanup)
	if err != nil {
		return result, named(m.Name, err)
	}
	for _, c := range contenders {
		if r.Only == nil || r.Only.MatchString(c.Name) {
			result.Standings = append(result.Standings, Standing{Contender: c})
		}
	}
	var errs []error
	for round := range r.rounds(m) {
		for i := range result.Standings {
			s := &result.Standings[(round+i)%len(result.Standings)]
			if len(s.Errs) > 0 || ctx.Err() != nil {
				continue
			}
			sample, err := r.trial(ctx, m, s.Contender, round)
			if err != nil {
				s.Errs = append(s.Errs, err)
				errs = append(errs, named(m.Name+", "+s.Name, err))
			} else {
				s.Samples = append(s.Samples, sample)
			}
			if r.Progress != nil {
				r.Progress(m, round, s.Name, sample, err)
			}
		}
	}
	return result, errors.Join(append(errs, ctx.Err())...)
}

// Warm runs a round of m that does not count: servers that have just started
// answer at a fraction of their rate, until they have compiled what they run.
func (r Runner) Warm(ctx context.Context, m Measurement) error {
	r.Rounds, r.Profiles, r.Progress = 1, "", nil
	_, err := r.Run(ctx, m)
	return err
}

// rounds is how many m has.
func (r Runner) rounds(m Measurement) int {
	if m.Rounds > 0 {
		return min(m.Rounds, r.Rounds)
	}
	return r.Rounds
}

// trial gives one contender its turn.
func (r Runner) trial(ctx context.Context, m Measurement, c Contender, round int) (s Sample, err error) {
	t := &Trial{}
	if r.Profiles != "" {
		p := profile{folder: r.Profiles, trial: fmt.Sprintf("%s-%s-%d", m.Name, c.Name, round+1)}
		t.profile = p.start
	}
	defer func() { err = errors.Join(err, t.Cleanup.Run(ctx)) }()
	// What another trial has left behind is neither this one's work nor its memory.
	debug.FreeOSMemory()
	defer t.unwatch()
	if err := c.Run(ctx, t); err != nil {
		return Sample{}, err
	}
	return t.sample()
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
