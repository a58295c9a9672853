package events_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed46dd6f11/events"
)

// observed counts what events_post_tx_produce_seconds has observed.
func observed(t *testing.T, failed string) (n uint64) {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "events_post_tx_produce_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			if labels := m.GetLabel(); len(labels) == 1 && labels[0].GetName() == "tx_produce_error" && labels[0].GetValue() == failed {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}

// A commit observes how long it took to bring its events on their way, and
// whether that failed.
func TestObserveProduceLatency(t *testing.T) {
	good, bad := observed(t, "false"), observed(t, "true")
	s := newOnDemand(t, embedded(t), filepath.Join(t.TempDir(), "events.db"))
	if err := s.commit("k"); err != nil {
		t.Fatal(err)
	}
	if n := observed(t, "false") - good; n != 1 {
		t.Errorf("a commit is observed %d times", n)
	}
	events.ObserveProduceLatency(errors.New("no"), time.Now())
	if n := observed(t, "true") - bad; n != 1 {
		t.Errorf("a failure is observed %d times", n)
	}
}
