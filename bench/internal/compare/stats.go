package compare

import (
	"cmp"
	"slices"
	"time"
)

// Spread is what a value was in several rounds.
type Spread[V cmp.Ordered] struct{ Min, Median, Max V }

// spreadOf returns the spread of values; the median of an even number of them
// is the lower of the two in the middle. It is zero if there are none.
func spreadOf[V cmp.Ordered](values []V) Spread[V] {
	if len(values) == 0 {
		return Spread[V]{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread[V]{Min: sorted[0], Median: sorted[(len(sorted)-1)/2], Max: sorted[len(sorted)-1]}
}

// over is the spread of a value of each sample.
func over[V cmp.Ordered](samples []Sample, value func(Sample) V) Spread[V] {
	values := make([]V, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return spreadOf(values)
}

// Rate is in events per second.
func (s Sample) Rate() float64 { return per(float64(s.Events), s.Elapsed.Seconds()) }

// AllocationsPerEvent is of the whole process, the contender's background
// work included.
func (s Sample) AllocationsPerEvent() float64 { return per(float64(s.Allocations), float64(s.Events)) }

// BytesPerEvent are those of the allocations.
func (s Sample) BytesPerEvent() float64 { return per(float64(s.Bytes), float64(s.Events)) }

// CPUPerMillion is the seconds of CPU that a million events take.
func (s Sample) CPUPerMillion() float64 { return per(s.CPU.Seconds()*1e6, float64(s.Events)) }

// Quantile returns the latency that the part q of the events does not exceed,
// by the nearest rank.
func (s Sample) Quantile(q float64) time.Duration {
	n := len(s.Latencies)
	if n == 0 {
		return 0
	}
	rank := int(q*float64(n) + 0.999999)
	return s.Latencies[min(max(rank, 1), n)-1]
}

// per is a quotient that is 0 where there is nothing to divide by.
func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
