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

// A part that is 0 leaves nothing behind but the series.
func TestGaugePart(t *testing.T) {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "parts"}, []string{"handler_name"})
	is := func(handler string, want float64) {
		t.Helper()
		if got := testutil.ToFloat64(vec.WithLabelValues(handler)); got != want {
			t.Errorf("%s: %v, want %v", handler, got, want)
		}
	}
	sums := newSharedGauge(vec, sum)
	a, b := sums.part("sum"), sums.part("sum")
	if n := testutil.CollectAndCount(vec); n != 1 {
		t.Errorf("%d series before anything was set", n)
	}
	a.set(3)
	b.set(4)
	b.set(5)
	is("sum", 8)
	a.set(0)
	is("sum", 5)
	b.set(0)
	is("sum", 0)

	peaks := newSharedGauge(vec, largest)
	p, q, other := peaks.part("max"), peaks.part("max"), peaks.part("other")
	other.set(100)
	p.set(3)
	q.set(7)
	is("max", 7)
	q.set(0)
	is("max", 3)
	q.set(2)
	is("max", 3)
	p.set(0)
	q.set(0)
	is("max", 0)
	other.set(0)
	if left := len(sums.parts["sum"]) + len(peaks.parts["max"]) + len(peaks.parts["other"]); left != 0 {
		t.Errorf("%d parts are left", left)
	}
	if n := testutil.CollectAndCount(vec); n != 3 {
		t.Errorf("%d series, want 3", n)
	}
}
