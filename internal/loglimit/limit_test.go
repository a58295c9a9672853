package loglimit

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	var l Limit
	now := time.Unix(1, 0)
	step := func(kind string, n, want, wantLeftOut int) {
		t.Helper()
		logged, leftOut := 0, 0
		for range n {
			if left, ok := l.Allow(kind, now); ok {
				logged++
				leftOut += left
			}
		}
		if logged != want || leftOut != wantLeftOut {
			t.Errorf("%s: %d of %d are logged, %d told as left out; want %d and %d", kind, logged, n, leftOut, want, wantLeftOut)
		}
	}
	step("a", 1000, Burst, 0)
	step("b", 3, 3, 0)
	now = now.Add(Interval - 1)
	step("a", 5, 0, 0)
	now = now.Add(1)
	step("a", 1, 1, 995)
	step("a", 1000, Burst-1, 0)
	now = now.Add(time.Hour)
	step("b", 1, 1, 0)
	step("a", Burst, Burst, 1000-Burst+1)
}
