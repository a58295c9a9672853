package compare

import (
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{5}, Spread{5, 5, 5}},
		{[]float64{9, 1}, Spread{1, 5, 9}},
		{[]float64{7, 3, 5}, Spread{3, 5, 7}},
		{[]float64{4, 1, 3, 2}, Spread{1, 2.5, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		latencies []time.Duration
		q         float64
		want      time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{8}, 0.99, 8},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		if got := (Latencies{Of: c.latencies}).Quantile(c.q); got != c.want {
			t.Errorf("quantile %v of %d = %d, want %d", c.q, len(c.latencies), got, c.want)
		}
	}
}

func TestSampleOfNothing(t *testing.T) {
	var s Sample
	if s.Rate() != 0 || s.AllocationsPerEvent() != 0 || s.CPUPerMillion() != 0 {
		t.Errorf("an empty sample has numbers: %v %v %v", s.Rate(), s.AllocationsPerEvent(), s.CPUPerMillion())
	}
}
