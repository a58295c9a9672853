package compare

import (
	"slices"
	"time"
)

// Spread is what a value was in several rounds.
type Spread struct{ Min, Median, Max float64 }

// spreadOf returns the spread of values; the median of an even number of them
// is between the two in the middle. It is zero if there are none.
func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Min: sorted[0], Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Max: sorted[n-1]}
}

// over is the spread of a value of each sample.
func over(samples []Sample, value func(Sample) float64) Spread {
	values := make([]float64, len(samples))
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

func (s Sample) mebibytes() float64 { return float64(s.Memory) / (1 << 20) }

// Quantile returns the latency that the part q of the events does not exceed,
// by the nearest rank.
func (l Latencies) Quantile(q float64) time.Duration {
	n := len(l.Of)
	if n == 0 {
		return 0
	}
	rank := int(q*float64(n) + 0.999999)
	return l.Of[min(max(rank, 1), n)-1]
}

// Quantile returns a quantile of the latencies that are called what, 0 if there
// are none.
func (s Sample) Quantile(what string, q float64) time.Duration {
	for _, l := range s.Latencies {
		if l.What == what {
			return l.Quantile(q)
		}
	}
	return 0
}

// per is a quotient that is 0 where there is nothing to divide by.
func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
