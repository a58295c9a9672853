package events

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What one Library sets, or takes back, leaves what others have set.
func TestSharedGauge(t *testing.T) {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "shared"}, []string{"a", "b"})
	for name, c := range map[string]struct {
		merge func(a, b float64) float64
		both  float64
	}{"sum": {sum, 5}, "largest": {largest, 3}} {
		t.Run(name, func(t *testing.T) {
			g := newSharedGauge(vec, c.merge)
			want := func(value float64) {
				t.Helper()
				if got := testutil.ToFloat64(vec.WithLabelValues("x", "y")); got != value {
					t.Errorf("%v, want %v", got, value)
				}
			}
			g.set("one", 7, "x", "y")
			want(7)
			g.set("one", 3, "x", "y")
			g.set("two", 2, "x", "y")
			want(c.both)
			g.remove("three", "x", "y")
			g.remove("one", "z", "y")
			want(c.both)
			g.remove("one", "x", "y")
			want(2)
			g.remove("two", "x", "y")
			g.remove("two", "x", "y")
			if n := testutil.CollectAndCount(vec); n != 0 || len(g.parts) != 0 {
				t.Errorf("%d gauges and %d parts are left", n, len(g.parts))
			}
		})
	}
}
