package simulation

import (
	"reflect"
	"testing"
	"time"
)

// A seed is a plan: the same one each time, within its bounds; and in some
// seeds there is everything.
func TestPlan(t *testing.T) {
	seen := map[Fault]bool{}
	for seed := range uint64(100) {
		p := NewPlan(seed, 10*time.Minute)
		if !reflect.DeepEqual(p, NewPlan(seed, 10*time.Minute)) {
			t.Fatalf("seed %d makes two plans", seed)
		}
		var last time.Duration
		for _, s := range p.Steps {
			seen[s.Fault] = true
			if s.At < last || s.At+s.For > p.Length || s.Slot >= p.Slots || int(s.Node) >= p.Brokers {
				t.Errorf("seed %d: %v at %v is out of bounds", seed, s, s.At)
			}
			last = s.At
		}
	}
	for _, f := range faults {
		if !seen[f.fault] {
			t.Errorf("no plan has the fault %q", f.fault)
		}
	}
}

// What a handler does with an event follows from the seed alone, most work, and
// only those fail for good that may.
func TestBehaviour(t *testing.T) {
	all := handlersOf(Plan{})
	counts := map[behaviour]int{}
	for n := range 10_000 {
		id := string(rune('a'+n%26)) + time.Duration(n).String()
		does, _ := behaviourOf(7, all.bill, id)
		again, _ := behaviourOf(7, all.bill, id)
		if does != again {
			t.Fatal("it does two things with the same event")
		}
		counts[does]++
		if does, _ := behaviourOf(7, all.gate, id); does == fails || does == later {
			t.Fatalf("gate %s, and would block for ever", does)
		}
	}
	for _, b := range []behaviour{works, slow, stumbles, panics, hangs, fails, later} {
		if counts[b] == 0 {
			t.Errorf("bill never does %q", b)
		}
	}
	if counts[works] < 8000 {
		t.Errorf("it works with %d of 10000", counts[works])
	}
}
