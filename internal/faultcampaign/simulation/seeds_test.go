//go:build synctests

package simulation

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

var (
	seeds  = flag.Int("seeds", 4, "how many seeds to run")
	from   = flag.Uint64("from", 1, "the first seed")
	length = flag.Duration("for", 10*time.Minute, "for how long faults happen, in virtual time")
	repeat = flag.Int("repeat", 1, "how often each seed runs: not all of a run follows from its seed")
	logs   = flag.String("logs", "", "a directory for the Library's log lines; those of runs that succeed are removed")
)

// TestSeeds runs the simulation; scripts/faults simulation runs it with many
// seeds, and without the race detector, which makes it slow. A seed that fails prints what it is, the
// schedule, and the history of what was violated.
func TestSeeds(t *testing.T) {
	for seed := *from; seed < *from+uint64(*seeds); seed++ {
		for n := range *repeat {
			t.Run(fmt.Sprintf("%d/%d", seed, n), func(t *testing.T) {
				t.Parallel()
				simulate(t, NewPlan(seed, *length))
			})
		}
	}
}

// simulate runs a plan and reports.
func simulate(t *testing.T, p Plan) Outcome {
	t.Helper()
	began := time.Now()
	var o Outcome
	logger := logger(t)
	synctest.Test(t, func(t *testing.T) {
		var err error
		if o, err = Run(p, logger); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("seed %d: %v; settled in %v; %d faults; %v", p.Seed, o.Report, o.Settled, len(p.Steps), time.Since(began).Round(time.Millisecond))
	if o.Failed() {
		t.Error(describe(o))
	}
	return o
}

// describe is a failed run for people.
func describe(o Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n", o.Plan)
	for _, p := range o.Problems {
		fmt.Fprintf(&b, "PROBLEM: %s\n", p)
	}
	start := o.Moments[0].At
	for _, m := range o.Moments {
		fmt.Fprintf(&b, "%10v %s\n", m.At.Sub(start).Round(time.Millisecond), m.Text)
	}
	const most = 5
	for n, v := range o.Report.Violations {
		if n == most {
			fmt.Fprintf(&b, "... and %d more violations\n", len(o.Report.Violations)-n)
			break
		}
		fmt.Fprintf(&b, "VIOLATION: %v\n", v)
		for _, e := range checker.Concerning(o.Entries, v) {
			fmt.Fprintf(&b, "    %s\n", checker.Line(e))
		}
	}
	return b.String()
}

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	if *logs == "" {
		return slog.New(slog.DiscardHandler)
	}
	f, err := os.Create(filepath.Join(*logs, strings.ReplaceAll(t.Name(), "/", "-")+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if !t.Failed() {
			os.Remove(f.Name())
		}
	})
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
