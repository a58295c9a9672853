// Package backoff computes how long to wait before something is tried again.
//
// A [Schedule] is a pure function of the attempt and a random number, so that
// whoever waits keeps the timer and the randomness, and tests need neither.
package backoff

import "time"

// A Schedule doubles the wait with each attempt, from Min to Max. The zero
// value does not wait.
type Schedule struct {
	// Min is the wait after the first attempt. Negative counts as zero.
	Min time.Duration
	// Max is the longest wait. Below Min it counts as Min.
	Max time.Duration
	// Jitter is the share of the wait that randomness can take away, from 0
	// (nothing) to 1 (all of it); 0.2 spreads the waits over the last fifth.
	// It only ever shortens, so Max holds, and a wait can be up to Jitter
	// shorter than Min.
	Jitter float64
}

// Delay returns the wait after the given attempt has failed. Attempts are
// counted from 1; what is below counts as 1. rnd is a random number from 0,
// for the whole wait, to 1 (exclusive), as rand.Float64 returns it.
func (s Schedule) Delay(attempt int, rnd float64) time.Duration {
	d := max(s.Min, 0)
	limit := max(s.Max, d)
	// At most 63 rounds, and none that overflows: d doubles only while it is
	// at most half of the limit.
	for ; attempt > 1 && d > 0 && d < limit; attempt-- {
		if d > limit/2 {
			d = limit
			break
		}
		d *= 2
	}
	cut := float64(d) * unit(s.Jitter) * unit(rnd)
	if cut >= float64(d) { // which may be more than a Duration can hold
		return 0
	}
	return d - time.Duration(cut)
}

// unit returns f within [0, 1], and 0 if it is not a number.
func unit(f float64) float64 {
	if !(f > 0) {
		return 0
	}
	return min(f, 1)
}
