package compare

import (
	"testing"
	"time"
)

func TestGoals(t *testing.T) {
	ms := time.Millisecond
	result := func(standings ...Standing) Result { return Result{Standings: standings} }
	sized := func(rates ...int) Result {
		var r Result
		for _, rate := range rates {
			r.Standings = append(r.Standings, standingOf("ours", false, sampleOf(rate)))
		}
		return r
	}
	two := result(standingOf("theirs", true, sampleOf(1000)), standingOf("ours", false, sampleOf(900)))
	slow := result(standingOf("ours", false, sampleOf(10, 1*ms, 2*ms, 3*ms)))
	for _, c := range []struct {
		goal       Goal
		of         Result
		value      string
		met, known bool
	}{
		{RatioAtLeast("theirs", 0.9), two, "0.90", true, true},
		{RatioAtLeast("theirs", 0.91), two, "0.90", false, true},
		{RatioAtLeast("nobody", 0.9), two, "0.00", true, false},
		{RateAtLeast(900), two, "900", true, true},
		{RateAtLeast(901), two, "900", false, true},
		{RateAtLeast(901), result(), "0", false, false},
		{AllocationsAtMost(2), two, "2.0", true, true},
		{AllocationsAtMost(1.9), two, "2.0", false, true},
		{AllocationsAtMost(2), result(), "0.0", true, false},
		{LatencyAtMost("to Kafka", 0.5, 2*ms), slow, "2.00 ms", true, true},
		{LatencyAtMost("to Kafka", 0.99, 2*ms), slow, "3.00 ms", false, true},
		{LatencyAtMost("elsewhere", 0.5, 2*ms), slow, "0.00 ms", true, false},
		{SteadyWithin(0.2), sized(1000, 800, 2000), "-20 %", true, true},
		{SteadyWithin(0.2), sized(1000, 790), "-21 %", false, true},
		{SteadyWithin(0.2), result(), "-100 %", true, false},
	} {
		value, met, known := c.goal.judge(c.of)
		if known != c.known || known && (met != c.met || value != c.value) {
			t.Errorf("%s: %s, met %v, known %v; want %s, %v, %v", c.goal.Text, value, met, known, c.value, c.met, c.known)
		}
	}
}
