package events

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Contributors to a gauge do not overwrite each other, and those that are gone
// leave nothing behind.
func TestGaugeShares(t *testing.T) {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, []string{"handler_name"})
	is := func(handler string, want float64) {
		t.Helper()
		if got := testutil.ToFloat64(vec.WithLabelValues(handler)); got != want {
			t.Errorf("%s: %v, want %v", handler, got, want)
		}
	}
	a, b := share{gauge: vec.WithLabelValues("sum")}, share{gauge: vec.WithLabelValues("sum")}
	a.set(3)
	b.set(4)
	b.set(5)
	is("sum", 8)
	a.set(0)
	is("sum", 5)

	p, q, other := peak{vec.WithLabelValues("max")}, peak{vec.WithLabelValues("max")}, peak{vec.WithLabelValues("other")}
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
	for _, gauge := range []prometheus.Gauge{p.gauge, other.gauge} {
		if parts := peaks.parts[gauge]; parts != nil {
			t.Errorf("%d parts are left", len(parts))
		}
	}
}
