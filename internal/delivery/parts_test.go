package delivery

import (
	"fmt"
	"slices"
	"testing"
)

// isolate runs a batch of n events, of which some are bad and some leave before
// a run, to the end. It returns the runs, and what was said of each event.
func isolate(n int, bad, leaves func(run, event int) bool) (runs [][]int, verdicts map[int]string) {
	verdicts = map[int]string{}
	var p parts[int]
	var members []int
	for i := range n {
		members = append(members, i)
	}
	if n > 0 {
		p.push(members)
	}
	for run := 0; ; run++ {
		p.remove(func(i int) bool { return leaves(run, i) }, func(i int) { verdicts[i] += "left" })
		if p.empty() {
			return runs, verdicts
		}
		part := slices.Clone(p.next())
		runs = append(runs, part)
		failed := slices.ContainsFunc(part, func(i int) bool { return bad(run, i) })
		switch {
		case failed && len(part) > 1:
			p.halve()
		case failed:
			verdicts[part[0]] += "bad"
			p.pass()
		default:
			for _, i := range part {
				verdicts[i] += "done"
			}
			p.pass()
		}
	}
}

// bisect is the same for events that do not leave, in words.
func bisect(events []int, bad func(int) bool) (runs [][]int) {
	if len(events) == 0 {
		return nil
	}
	runs = append(runs, events)
	if len(events) > 1 && slices.ContainsFunc(events, bad) {
		half := len(events) / 2
		runs = append(append(runs, bisect(events[:half], bad)...), bisect(events[half:], bad)...)
	}
	return runs
}

func TestOneBadEventStandsAloneSoon(t *testing.T) {
	for n := 1; n <= 200; n++ {
		steps := 0
		for 1<<steps < n {
			steps++
		}
		for worst := range n {
			runs, verdicts := isolate(n, func(_, i int) bool { return i == worst }, func(int, int) bool { return false })
			failed := 0
			for _, run := range runs {
				if slices.Contains(run, worst) {
					failed++
				}
			}
			if failed > steps+1 || len(runs) > 2*steps+1 {
				t.Fatalf("%d of %d: %d failures in %d runs", worst, n, failed, len(runs))
			}
			for i := range n {
				if want := map[bool]string{true: "bad", false: "done"}[i == worst]; verdicts[i] != want {
					t.Fatalf("%d of %d: %d is %q", worst, n, i, verdicts[i])
				}
			}
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add(uint8(8), uint64(1<<6), uint64(0), uint8(0))
	f.Add(uint8(30), uint64(1<<29|1), uint64(1<<3|1<<28), uint8(4))
	f.Add(uint8(64), ^uint64(0), uint64(5), uint8(1))
	f.Fuzz(func(t *testing.T, size uint8, badOnes, leaving uint64, when uint8) {
		n := int(size)%64 + 1
		bad := func(i int) bool { return badOnes>>i&1 != 0 }
		leaves := func(run, i int) bool { return run == int(when)%16 && leaving>>i&1 != 0 }
		runs, verdicts := isolate(n, func(_, i int) bool { return bad(i) }, leaves)
		if leaving == 0 {
			var all []int
			for i := range n {
				all = append(all, i)
			}
			if want := bisect(all, bad); fmt.Sprint(runs) != fmt.Sprint(want) {
				t.Fatalf("runs\n%v, want\n%v", runs, want)
			}
		}
		for i := range n {
			want := "done"
			if bad(i) {
				want = "bad"
			}
			if got := verdicts[i]; got != want && !(got == "left" && leaving>>i&1 != 0) {
				t.Fatalf("%d is %q, want %q", i, got, want)
			}
		}
		// Nothing runs before everything in front of it is done with.
		last := -1
		for _, run := range runs {
			if !slices.IsSorted(run) || run[0] < last {
				t.Fatalf("%v comes too late: %v", run, runs)
			}
			last = run[0]
		}
	})
}
