package compare

import (
	"fmt"
	"time"
)

// Goal is something that a measurement's result is meant to reach.
type Goal struct {
	// Text says what it is: "≥ 0.95 of franz-go".
	Text string
	// judge returns what was reached instead, as text, and whether that is
	// enough. ok is false if what it looks at was not measured.
	judge func(Result) (value string, met, ok bool)
}

// RatioAtLeast is reached when the median rate is at least ratio times that of
// the peer.
func RatioAtLeast(peer string, ratio float64) Goal {
	return Goal{fmt.Sprintf("≥ %g of %s", ratio, peer), func(r Result) (string, bool, bool) {
		ours, theirs := r.ours().rate().Median, r.standing(peer).rate().Median
		return fmt.Sprintf("%.2f", per(ours, theirs)), ours >= ratio*theirs, ours > 0 && theirs > 0
	}}
}

// RateAtLeast is reached when the median rate is at least that.
func RateAtLeast(rate float64) Goal {
	return Goal{fmt.Sprintf("≥ %s/s", thousands(rate)), func(r Result) (string, bool, bool) {
		ours := r.ours().rate().Median
		return thousands(ours), ours >= rate, ours > 0
	}}
}

// AllocationsAtMost is reached when an event costs at most n allocations, in the
// median of the rounds.
func AllocationsAtMost(n float64) Goal {
	return Goal{fmt.Sprintf("≤ %g allocations", n), func(r Result) (string, bool, bool) {
		ours := r.ours()
		allocations := over(ours.Samples, Sample.AllocationsPerEvent).Median
		// What is written with one decimal is judged with one.
		return fmt.Sprintf("%.1f", allocations), allocations < n+0.05, len(ours.Samples) > 0
	}}
}

// LatencyAtMost is reached when the quantile q of the latencies that are called
// what is at most d, in the median of the rounds.
func LatencyAtMost(what string, q float64, d time.Duration) Goal {
	return Goal{fmt.Sprintf("%s p%g ≤ %v", what, 100*q, d), func(r Result) (string, bool, bool) {
		ours := r.ours().quantile(what, q)
		return fmt.Sprintf("%.2f ms", ours.Median), ours.Median <= milliseconds(d), ours.Median > 0
	}}
}

// SteadyWithin is reached when no size of our series has a median rate that
// is more than the part share below that of the smallest size.
func SteadyWithin(share float64) Goal {
	return Goal{fmt.Sprintf("rate within %g %% of the first", 100*share), func(r Result) (string, bool, bool) {
		var first, worst float64
		for _, s := range r.Standings {
			rate := s.rate().Median
			switch {
			case s.Peer || len(s.Samples) == 0:
			case first == 0:
				first, worst = rate, rate
			default:
				worst = min(worst, rate)
			}
		}
		return fmt.Sprintf("%+.0f %%", 100*(per(worst, first)-1)), worst >= (1-share)*first, first > 0
	}}
}

// judged is a goal and what became of it.
type judged struct {
	Goal
	value      string
	met, known bool
}

func (j judged) String() string {
	switch {
	case !j.known:
		return j.Text + ": not measured"
	case j.met:
		return fmt.Sprintf("%s: %s, met", j.Text, j.value)
	}
	return fmt.Sprintf("%s: %s, **missed**", j.Text, j.value)
}

// judge looks at all goals.
func (r Result) judge() []judged {
	all := make([]judged, len(r.Goals))
	for i, g := range r.Goals {
		all[i] = judged{Goal: g}
		all[i].value, all[i].met, all[i].known = g.judge(r)
	}
	return all
}
