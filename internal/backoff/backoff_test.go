package backoff

import (
	"math"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	var (
		usual  = Schedule{Min: 100 * time.Millisecond, Max: 30 * time.Second}
		spread = Schedule{Min: 100 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.2}
	)
	for _, test := range []struct {
		name     string
		schedule Schedule
		attempt  int
		rnd      float64
		want     time.Duration
	}{
		{"first", usual, 1, 0, 100 * time.Millisecond},
		{"second", usual, 2, 0, 200 * time.Millisecond},
		{"ninth", usual, 9, 0, 25600 * time.Millisecond},
		{"tenth, at Max", usual, 10, 0, 30 * time.Second},
		{"far beyond", usual, math.MaxInt, 0, 30 * time.Second},
		{"before the first", usual, 0, 0, 100 * time.Millisecond},
		{"negative attempt", usual, math.MinInt, 0, 100 * time.Millisecond},
		{"no jitter", usual, 1, 0.9, 100 * time.Millisecond},

		{"jitter, all of the wait", spread, 1, 0, 100 * time.Millisecond},
		{"jitter, half", spread, 1, 0.5, 90 * time.Millisecond},
		{"jitter, the most", spread, 1, 1, 80 * time.Millisecond},
		{"jitter at Max", spread, 99, 1, 24 * time.Second},
		{"full jitter", Schedule{time.Second, time.Second, 1}, 1, 1, 0},
		{"jitter above 1", Schedule{time.Second, time.Second, 7}, 1, 0.5, time.Second / 2},
		{"negative jitter", Schedule{time.Second, time.Second, -1}, 1, 0.5, time.Second},
		{"jitter not a number", Schedule{time.Second, time.Second, math.NaN()}, 1, 0.5, time.Second},
		{"rnd above 1", spread, 1, 3, 80 * time.Millisecond},
		{"rnd negative", spread, 1, -3, 100 * time.Millisecond},
		{"rnd not a number", spread, 1, math.NaN(), 100 * time.Millisecond},

		{"zero", Schedule{}, 5, 0.5, 0},
		{"no Min", Schedule{Max: time.Second}, 5, 0, 0},
		{"negative Min", Schedule{Min: -time.Second, Max: time.Second}, 5, 0, 0},
		{"no Max", Schedule{Min: time.Second}, 5, 0, time.Second},
		{"Max below Min", Schedule{Min: time.Second, Max: time.Millisecond}, 5, 0, time.Second},
		{"Min is Max", Schedule{Min: time.Second, Max: time.Second}, 5, 0, time.Second},
		{"Max is not a power", Schedule{Min: 3, Max: 7}, 2, 0, 6},
		{"Max is not a power", Schedule{Min: 3, Max: 7}, 3, 0, 7},

		{"near the end of time", Schedule{Min: 1, Max: forever}, 62, 0, 1 << 61},
		{"near the end of time", Schedule{Min: 1, Max: forever}, 63, 0, 1 << 62},
		{"at the end of time", Schedule{Min: 1, Max: forever}, 64, 0, forever},
		{"at the end of time", Schedule{Min: forever, Max: forever}, 2, 0, forever},
		{"at the end of time, with jitter", Schedule{Min: forever, Max: forever, Jitter: 1}, 2, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.schedule.Delay(test.attempt, test.rnd); got != test.want {
				t.Errorf("%+v.Delay(%d, %v) = %v, want %v", test.schedule, test.attempt, test.rnd, got, test.want)
			}
		})
	}
}

// FuzzDelay compares the schedule with arithmetic that cannot overflow.
func FuzzDelay(f *testing.F) {
	f.Add(int64(time.Millisecond), int64(time.Minute), 0.2, 7, 0.5)
	f.Add(int64(1), int64(math.MaxInt64), 1.0, 64, 0.99)
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), 0.0, 2, 0.0)
	f.Fuzz(func(t *testing.T, minimum, maximum int64, jitter float64, attempt int, rnd float64) {
		s := Schedule{Min: time.Duration(minimum), Max: time.Duration(maximum), Jitter: jitter}
		got := s.Delay(attempt, rnd)

		low := max(float64(minimum), 0)
		whole := min(math.Ldexp(low, min(max(attempt, 1), 100)-1), max(float64(maximum), low))
		want := whole
		if jitter > 0 && rnd > 0 {
			want -= whole * min(jitter, 1) * min(rnd, 1)
		}
		if got < 0 || got > max(s.Max, s.Min, 0) {
			t.Fatalf("%+v.Delay(%d, %v) = %d", s, attempt, rnd, got)
		}
		if diff := math.Abs(float64(got) - want); diff > 1+whole*1e-9 {
			t.Fatalf("%+v.Delay(%d, %v) = %d, want %v", s, attempt, rnd, got, want)
		}
	})
}
