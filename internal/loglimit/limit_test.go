package loglimit

import (
	"cmp"
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	for _, l := range []*Limit{{}, {Burst: 1}, {Burst: 100}} {
		testLimit(t, l, cmp.Or(l.Burst, DefaultBurst))
	}
}

func testLimit(t *testing.T, l *Limit, burst int) {
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
			t.Errorf("burst %d, %s: %d of %d are logged, %d told as left out; want %d and %d", burst, kind, logged, n, leftOut, want, wantLeftOut)
		}
	}
	step("a", 1000, burst, 0)
	step("b", 3, min(3, burst), 0)
	now = now.Add(Interval - 1)
	step("a", 5, 0, 0)
	now = now.Add(1)
	step("a", 1, 1, 1005-burst)
	step("a", 1000, burst-1, 0)
	now = now.Add(time.Hour)
	step("b", 1, 1, 3-min(3, burst))
	step("a", burst, burst, 1000-burst+1)
}
