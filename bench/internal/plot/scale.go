package plot

import (
	"math"
	"strconv"
)

// Range is a median with its extremes.
type Range struct{ Min, Median, Max float64 }

// ceiling returns the next of 1, 2, 5, 10, 20 and so on, 1 for what is not
// positive: the end of an axis.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, factor := range []float64{1, 1.5, 2, 3, 5, 7.5, 10} {
		if v <= factor*power*(1+1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// short writes a number in the space that an axis has: 1.2M, 45k, 0.3.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
