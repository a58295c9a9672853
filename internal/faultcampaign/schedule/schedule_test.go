package schedule

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings(seed uint64) Settings {
	return Settings{Seed: seed, Length: 10 * time.Minute, Processes: 4, Brokers: 3, Session: 20 * time.Second, Lease: 10 * time.Second}
}

func TestASeedIsASchedule(t *testing.T) {
	for seed := range uint64(50) {
		if !slices.Equal(New(settings(seed)), New(settings(seed))) {
			t.Fatalf("seed %d has two schedules", seed)
		}
	}
	if slices.Equal(New(settings(1)), New(settings(2))) {
		t.Error("two seeds have one schedule")
	}
}

func TestFaultsAreWithinBounds(t *testing.T) {
	kinds := map[Kind]int{}
	for seed := range uint64(200) {
		s := settings(seed)
		faults := New(s)
		for i, f := range faults {
			kinds[f.Kind]++
			switch {
			case f.At <= 0 || f.At >= s.Length || f.For < 0 || i > 0 && f.At < faults[i-1].At,
				f.Slot < All || f.Slot >= s.Processes, f.Server < All || f.Server > s.Brokers,
				f.Broker < 0 || f.Broker > s.Brokers,
				f.Kind == KillTwoBrokers && (f.Other < 1 || f.Other > s.Brokers || f.Other == f.Broker),
				f.Kind == KillBroker && f.Broker == 0:
				t.Fatalf("seed %d: %+v", seed, f)
			}
		}
		for _, line := range Tracks(faults) {
			for i := 1; i < len(line); i++ {
				if line[i].At < line[i-1].At+line[i-1].For {
					t.Fatalf("seed %d: %v begins before the end of %v", seed, line[i], line[i-1])
				}
			}
		}
	}
	for _, track := range tracks {
		for _, kind := range track.kinds {
			if kinds[kind] < 200 {
				t.Errorf("%s comes %d times in 200 campaigns of ten minutes", kind, kinds[kind])
			}
		}
	}
}

// A kind that cannot happen is left out, and what the other tracks do stays as
// it was.
func TestWithout(t *testing.T) {
	s := settings(7)
	with := New(s)
	s.Without = []Kind{CrashDatabase, RestartDatabase, ClockForward, ClockBack}
	without := New(s)
	for _, f := range without {
		if slices.Contains(s.Without, f.Kind) {
			t.Errorf("%v", f)
		}
	}
	for i, line := range Tracks(with) {
		if i != 2 && !slices.Equal(line, Tracks(without)[i]) {
			t.Errorf("track %d is another one", i)
		}
	}
}

func TestTexts(t *testing.T) {
	for want, f := range map[string]Fault{
		"   1.5s freeze process 2 for 25.0s":                 {At: 1500 * time.Millisecond, Kind: Freeze, Slot: 2, For: 25 * time.Second},
		"  60.0s kill-two-brokers 3 and 1 for 2.0s":          {At: time.Minute, Kind: KillTwoBrokers, Broker: 3, Other: 1, For: 2 * time.Second},
		"   0.1s cut process all from the database for 1.0s": {At: 100 * time.Millisecond, Kind: Cut, Slot: All, For: time.Second},
		"   0.1s deafen process 0 from all servers for 1.0s": {At: 100 * time.Millisecond, Kind: Deafen, Server: All, For: time.Second},
		"   0.1s slow process 0 from broker 2 for 1.0s":      {At: 100 * time.Millisecond, Kind: Slow, Server: 2, For: time.Second},
		"   0.1s grow": {At: 100 * time.Millisecond, Kind: Grow},
	} {
		if got := f.String(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
