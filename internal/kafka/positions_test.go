package kafka

import "testing"

func TestPositions(t *testing.T) {
	tp, other := TopicPartition{"t", 0}, TopicPartition{"u", 0}
	p := newPositions()
	step := func(what string, gap Gap, ok bool, want *Gap) {
		t.Helper()
		if ok != (want != nil) || ok && gap != *want {
			t.Errorf("%s: %v %v, want %v", what, gap, ok, want)
		}
	}
	fetched := func(what string, first, logStart, next int64, want *Gap) {
		t.Helper()
		gap, ok := p.fetched(tp, first, logStart, next)
		step(what, gap, ok, want)
	}
	looked := func(what string, logStart int64, idle bool, want *Gap) {
		t.Helper()
		gap, ok := p.looked(tp, logStart, idle)
		step(what, gap, ok, want)
	}
	if p.known(tp) {
		t.Error("known before it began")
	}
	looked("not known", 50, true, nil)
	p.begin(tp, 10)
	p.begin(other, 99)
	fetched("in order", 10, 0, 15, nil)
	fetched("a hole", 20, 0, 25, nil)
	fetched("a hole, and the log starts in it", 30, 27, 35, &Gap{tp, 25, 27})
	looked("log start below", 30, true, nil)
	looked("log start at the position", 35, true, nil)
	looked("suspected", 40, false, nil)
	looked("still", 40, false, &Gap{tp, 35, 40})
	looked("told once", 40, false, nil)
	fetched("what was fetched before arrives after all", 36, 0, 45, nil)
	looked("suspected again", 50, false, nil)
	fetched("it was only late", 45, 0, 55, nil)
	looked("no longer", 50, false, nil)
	looked("suspected at another position", 60, false, nil)
	fetched("it moves", 55, 0, 56, nil)
	looked("so it is suspected anew", 60, false, nil)
	looked("and told", 60, false, &Gap{tp, 56, 60})
	looked("at once when nothing waits", 70, true, &Gap{tp, 60, 70})
	fetched("reading goes on", 70, 70, 71, nil)
	p.drop("t")
	if p.known(tp) || !p.known(other) {
		t.Errorf("after drop: %v", p.next)
	}
	fetched("from nowhere", 5, 5, 6, nil)
}
