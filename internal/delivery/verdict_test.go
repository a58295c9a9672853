package delivery

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

const (
	backoffWait  = 8 * time.Second
	awayWait     = 3 * time.Second
	conflictWait = 20 * time.Millisecond
)

// TestDecide goes through every combination of what a verdict depends on, and
// compares with the rules, written down as a table: the first row that matches.
func TestDecide(t *testing.T) {
	type row struct {
		when string
		is   func(o Outcome) bool
		want func(o Outcome) Verdict
	}
	verdict := func(v Verdict) func(Outcome) Verdict { return func(Outcome) Verdict { return v } }
	gaveUp := func(o Outcome) Verdict {
		return map[eventmodels.OnFailure]Verdict{
			eventmodels.OnFailureDiscard:    {Kind: Drop},
			eventmodels.OnFailureBlock:      {Kind: Block, Wait: never},
			eventmodels.OnFailureRetryLater: {Kind: DeadLetter},
			eventmodels.OnFailureSave:       {Kind: DeadLetter},
		}[o.OnFailure]
	}
	rows := []row{
		{"success", func(o Outcome) bool { return o.Result == Succeeded }, verdict(Verdict{Kind: Ack})},
		{"undone", func(o Outcome) bool { return o.Result == Undone && o.Handling != eventmodels.IgnoreError }, verdict(Verdict{Kind: RetryAfter, Uncounted: true})},
		{"ignored", func(o Outcome) bool { return o.Handling == eventmodels.IgnoreError }, verdict(Verdict{Kind: Ack})},
		{"one of the first ten times away", func(o Outcome) bool { return o.Result == Away && o.Aways < 11 },
			verdict(Verdict{Kind: RetryAfter, Wait: awayWait, Uncounted: true, Hold: true})},
		{"one of the first ten conflicts", func(o Outcome) bool { return o.Result == Conflict && o.Conflicts < 11 },
			verdict(Verdict{Kind: RetryAfter, Wait: conflictWait, Uncounted: true})},
		{"batch, repeated", func(o Outcome) bool { return o.Together && o.Repeated }, verdict(Verdict{Kind: Halve, Uncounted: true})},
		{"batch, not to be repeated", func(o Outcome) bool {
			return o.Together && (o.NoRetry || o.Handling == eventmodels.DoNotRetry)
		}, verdict(Verdict{Kind: Halve, Uncounted: true})},
		{"batch, told when, too late", func(o Outcome) bool {
			return o.Together && o.RetryAfter >= 0 && o.RetryAfter >= o.Remaining && o.OnFailure != eventmodels.OnFailureBlock
		}, verdict(Verdict{Kind: Halve, Uncounted: true})},
		{"batch, told when", func(o Outcome) bool { return o.Together && o.RetryAfter >= 0 },
			func(o Outcome) Verdict { return Verdict{Kind: Repeat, Wait: o.RetryAfter, Uncounted: true} }},
		{"batch", func(o Outcome) bool { return o.Together }, verdict(Verdict{Kind: Repeat, Wait: backoffWait, Uncounted: true})},
		{"WithRetrying(false)", func(o Outcome) bool { return o.NoRetry }, gaveUp},
		{"DoNotRetry", func(o Outcome) bool { return o.Handling == eventmodels.DoNotRetry }, gaveUp},
		{"block, told when", func(o Outcome) bool {
			return o.OnFailure == eventmodels.OnFailureBlock && o.RetryAfter >= 0
		}, func(o Outcome) Verdict { return Verdict{Kind: Block, Wait: o.RetryAfter} }},
		{"block", func(o Outcome) bool { return o.OnFailure == eventmodels.OnFailureBlock }, verdict(Verdict{Kind: Block, Wait: backoffWait})},
		{"told when, in time", func(o Outcome) bool { return o.RetryAfter >= 0 && o.RetryAfter < o.Remaining },
			func(o Outcome) Verdict { return Verdict{Kind: RetryAfter, Wait: o.RetryAfter} }},
		{"told when, too late", func(o Outcome) bool { return o.RetryAfter >= 0 }, gaveUp},
		{"time left", func(o Outcome) bool { return o.Remaining > backoffWait }, verdict(Verdict{Kind: RetryAfter, Wait: backoffWait})},
		{"a little time left", func(o Outcome) bool { return o.Remaining >= 2*time.Second },
			func(o Outcome) Verdict { return Verdict{Kind: RetryAfter, Wait: o.Remaining / 2} }},
		{"no time left", func(Outcome) bool { return true }, gaveUp},
	}
	hits := make([]int, len(rows))
	combinations := 0
	for result := Succeeded; result <= Undone; result++ {
		for handling := eventmodels.RetryUntilTimeout; handling <= eventmodels.IgnoreError; handling++ {
			for onFailure := eventmodels.OnFailureDiscard; onFailure <= eventmodels.OnFailureSave; onFailure++ {
				for _, noRetry := range []bool{false, true} {
					for _, after := range []time.Duration{noRetryAfter, 0, time.Second, 5 * time.Second, time.Hour} {
						for _, conflicts := range []int{0, 1, 10, 11, 100} {
							for _, left := range []time.Duration{-time.Second, 0, 1, time.Second, 2 * time.Second, 5 * time.Second, backoffWait, backoffWait + 1, time.Minute} {
								for batch := range 4 {
									o := Outcome{
										Result: result, Handling: handling, RetryAfter: after, OnFailure: onFailure, NoRetry: noRetry,
										Together: batch&1 != 0, Repeated: batch&2 != 0,
										Conflicts: conflicts, Aways: conflicts, Remaining: left,
										Backoff: backoffWait, AwayWait: awayWait, ConflictWait: conflictWait, LeastBackoff: time.Second,
									}
									combinations++
									for i, r := range rows {
										if !r.is(o) {
											continue
										}
										hits[i]++
										if got, want := decide(o), r.want(o); got != want {
											t.Fatalf("%s: %+v\n got %+v\nwant %+v", r.when, o, got, want)
										}
										break
									}
								}
							}
						}
					}
				}
			}
		}
	}
	for i, n := range hits {
		if n == 0 {
			t.Errorf("%q never happens", rows[i].when)
		}
	}
	t.Logf("%d combinations", combinations)
}

func TestVerdictIsFinal(t *testing.T) {
	for _, c := range []struct {
		v    Verdict
		want bool
	}{
		{Verdict{Kind: Ack}, false},
		{Verdict{Kind: RetryAfter, Wait: time.Second}, false},
		{Verdict{Kind: Block, Wait: time.Second}, false},
		{Verdict{Kind: Block}, false},
		{Verdict{Kind: Block, Wait: never}, true},
		{Verdict{Kind: Drop}, true},
		{Verdict{Kind: DeadLetter}, true},
	} {
		if c.v.Final() != c.want {
			t.Errorf("%+v: final %v", c.v, !c.want)
		}
	}
}

// An unknown OnFailure loses nothing.
func TestUnknownOnFailureBlocks(t *testing.T) {
	if v := decide(Outcome{Result: Failed, RetryAfter: noRetryAfter, NoRetry: true}); v != (Verdict{Kind: Block, Wait: never}) {
		t.Errorf("%+v", v)
	}
}

// With a backoff of nothing the retries end with the timeout.
func TestNoBackoff(t *testing.T) {
	for left, want := range map[time.Duration]VerdictKind{time.Nanosecond: RetryAfter, 0: Drop, -1: Drop} {
		v := decide(Outcome{Result: Failed, RetryAfter: noRetryAfter, OnFailure: eventmodels.OnFailureDiscard, Remaining: left})
		if v.Kind != want {
			t.Errorf("%v left: %v", left, v.Kind)
		}
	}
}

func TestResultOf(t *testing.T) {
	for _, c := range []struct {
		err      error
		timedOut bool
		want     Result
	}{
		{nil, false, Succeeded},
		{nil, true, Succeeded},
		{fmt.Errorf("mark: %w", eventmodels.ErrAlreadyProcessed), true, Succeeded},
		{errTest, false, Failed},
		{errTest, true, Failed},
		{fmt.Errorf("insert: %w", errAway), false, Away},
		{errAway, true, Failed},
		{errConflict, false, Conflict},
		{errConflict, true, Conflict},
		{&PanicError{Value: errConflict}, false, Conflict},
		{&PanicError{Value: "x"}, false, Failed},
		{&eventmodels.DecodeError{}, false, Failed},
		{fmt.Errorf("%w: %w", eventmodels.ErrDecode, errAway), false, Failed},
	} {
		if got := resultOf(c.err, c.timedOut, faultOf); got != c.want {
			t.Errorf("%v (timed out: %v): %v, want %v", c.err, c.timedOut, got, c.want)
		}
	}
	if got := resultOf(errAway, false, nil); got != Failed {
		t.Errorf("without classification: %v", got)
	}
}

func TestNames(t *testing.T) {
	for want, s := range map[string]fmt.Stringer{
		"Succeeded": Succeeded, "Failed": Failed, "Away": Away, "Conflict": Conflict, "Undone": Undone, "Result(9)": Result(9),
		"Ack": Ack, "RetryAfter": RetryAfter, "DeadLetter": DeadLetter, "Drop": Drop, "Block": Block, "Repeat": Repeat, "Halve": Halve, "VerdictKind(0)": VerdictKind(0),
		"Retrying": BlockRetrying, "Stuck": BlockStuck, "Paused": BlockPaused, "none": BlockReason(0),
	} {
		if s.String() != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
}
