package main

import (
	"os"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/bench/internal/servers"
)

// TestEveryMeasurement runs each of them once, with next to no work, so that
// they stay alive. It says nothing about speed.
func TestEveryMeasurement(t *testing.T) {
	if missing := servers.Missing(); len(missing) > 0 {
		message := strings.Join(missing, " and ") + ` not set: no servers to measure; run eval "$(scripts/services env)" after scripts/services up`
		if required := os.Getenv("EVENTS_REQUIRE"); strings.Contains(required, "kafka") || strings.Contains(required, "postgres") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s, err := servers.FromEnv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close) // after the subtests
	b := bench{servers: s, size: tiny}
	for _, m := range append(b.measurements(), b.growth()...) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel() // most of what they do is to wait for groups and topics
			result, err := compare.Runner{Rounds: 1}.Run(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			for _, standing := range result.Standings {
				if len(standing.Samples) != 1 || standing.Samples[0].Events == 0 {
					t.Errorf("%s has done nothing: %+v", standing.Name, standing.Samples)
				}
			}
			var report strings.Builder
			if err := result.Write(&report); err != nil {
				t.Fatal(err)
			}
			t.Log(report.String())
		})
	}
}

func TestOrdersHaveTheSizeThatIsAskedFor(t *testing.T) {
	for _, size := range []int{250, 1024} {
		for i, payload := range newPayloads(size) {
			if len(payload) != size {
				t.Fatalf("payload %d has %d bytes, not %d: %s", i, len(payload), size, payload)
			}
		}
	}
}
