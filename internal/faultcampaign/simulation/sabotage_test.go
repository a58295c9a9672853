//go:build synctests

package simulation

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// A database that breaks its word is found out: so the run can fail.
func TestSabotageIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		sabotage func(*world)
		want     checker.Rule
	}{
		"a committed row that is lost": {func(w *world) { w.database.LoseRow(20) }, checker.Lost},
		"marks that are lost":          {func(w *world) { w.database.ForgetMarks() }, checker.EffectDoubled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewPlan(7, time.Minute)
			p.Slots, p.Pause = 2, time.Second
			// Events are delivered again after these.
			p.Steps = []Step{
				{At: 20 * time.Second, For: 5 * time.Second, Fault: KillInstance},
				{At: 40 * time.Second, For: 5 * time.Second, Fault: KillInstance, Slot: 1},
				{At: 50 * time.Second, For: 5 * time.Second, Fault: KillInstance},
			}
			synctest.Test(t, func(t *testing.T) {
				o, err := run(p, logger(t), func(w *world) {
					w.patience = 2 * time.Minute
					c.sabotage(w)
				})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(o.Report.Violations, func(v checker.Violation) bool { return v.Rule == c.want }) {
					t.Errorf("no violation of %q: %v", c.want, o.Report)
				}
			})
		})
	}
}
