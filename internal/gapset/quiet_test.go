package gapset

import (
	"slices"
	"testing"
)

// snap is the proof of a snapshot in which running have an xid, and next is the
// xid that will be drawn next; all others have ended.
func snap(next uint64, running ...uint64) Proof {
	xmin := next
	if len(running) > 0 {
		xmin = running[0]
	}
	return XID(xmin, next).Running(running, next)
}

// asks is what a set asks for.
func (r *reader) asks(gaps []Range, blockers ...uint64) {
	r.t.Helper()
	q := r.set.Ask()
	if !slices.Equal(q.Gaps, gaps) || !slices.Equal(q.Blockers, blockers) {
		r.t.Fatalf("asks for %v, blocked by %v, want %v, %v", q.Gaps, q.Blockers, gaps, blockers)
	}
	checkInvariants(r.t, &r.set)
}

// Gaps that only a transaction can fill which runs for long are not asked for
// before it has ended, and then all of them.
func TestQuietGaps(t *testing.T) {
	r := &reader{t: t}
	r.read(snap(20, 10), 5, 9)
	r.asks([]Range{{1, 4}, {6, 8}}) // they have no horizon yet
	r.read(snap(21, 10))
	r.asks(nil, 10)
	r.want("9: 1-4 6-8")
	r.read(snap(30, 10, 25), 12)
	r.asks([]Range{{10, 11}}, 10)
	r.read(snap(31, 10, 25)) // 25 has not run for long, as far as is known
	r.asks([]Range{{10, 11}}, 10)
	r.read(snap(32, 10))
	r.asks(nil, 10)
	r.want("12: 1-4 6-8 10-11")

	if err := r.set.Observe(r.set.Ask(), Page{Ended: true, Proof: snap(40)}); err != nil {
		t.Fatal(err)
	}
	r.want("12: 1-4 6-8 10-11")
	r.asks([]Range{{1, 4}, {6, 8}, {10, 11}})
	r.read(snap(40), 7)
	r.want("12:")
}

// A gap waits for all transactions below its horizon that ran.
func TestQuietGapsOfSeveral(t *testing.T) {
	r := &reader{t: t}
	r.read(snap(20, 10, 15), 2)
	r.read(snap(20, 10, 15))
	r.asks(nil, 10, 15)
	for range 2 * sampleEvery {
		r.read(snap(50, 10, 15, 40))
	}
	r.read(snap(60, 10, 15, 40), 4)
	r.read(snap(60, 10, 15, 40))
	r.asks(nil, 10, 15, 40)
	if err := r.set.Observe(r.set.Ask(), Page{Ended: true}); err != nil {
		t.Fatal(err)
	}
	r.read(snap(60, 10, 40)) // 15 has ended
	r.asks(nil, 10, 40)
	r.want("4: 1 3")
}

// What is not known to have been looked at with all others ended is asked for.
func TestLoudGaps(t *testing.T) {
	open := func(t *testing.T) *reader {
		r := &reader{t: t}
		r.read(snap(20, 10), 3, 6)
		return r
	}
	gaps := []Range{{1, 2}, {4, 5}}
	t.Run("a transaction above xmax may run", func(t *testing.T) {
		r := open(t)
		r.read(XID(10, 25).Running([]uint64{10}, 24))
		r.asks(gaps)
	})
	t.Run("not covered", func(t *testing.T) {
		r := open(t)
		r.readCut(snap(20, 10), 2)
		r.asks([]Range{{4, 5}}, 10)
	})
	t.Run("nothing is known of what runs", func(t *testing.T) {
		r := open(t)
		r.read(XID(10, 20))
		r.asks(gaps)
	})
	t.Run("reset", func(t *testing.T) {
		r := open(t)
		r.read(snap(20, 10))
		r.asks(nil, 10)
		r.set.Reset(0)
		r.asks(nil)
	})
	t.Run("a row of a quiet gap", func(t *testing.T) {
		r := open(t)
		r.read(snap(20, 10))
		if err := r.set.Observe(r.set.Ask(), Page{Seqs: []int64{1}, Complete: true}); err == nil {
			t.Fatal("a row that was not asked for is taken")
		}
	})
}

func TestFloor(t *testing.T) {
	r := &reader{t: t}
	for _, step := range []struct {
		seqs  []int64
		ended uint64
		floor int64
	}{{nil, 0, 0}, {[]int64{1, 2}, 0, 2}, {[]int64{4, 5, 7}, 0, 2}, {[]int64{3}, 0, 5}, {nil, 9, 7}} {
		r.read(XID(step.ended, 9), step.seqs...)
		if got := r.set.Floor(); got != step.floor {
			t.Fatalf("after %+v the floor is %d", step, got)
		}
		for seq := int64(1); seq <= 9; seq++ {
			open := seq > r.set.Hint() || slices.ContainsFunc(r.set.gaps, func(g gap) bool { return g.Lo <= seq && seq <= g.Hi })
			if r.set.Looked(seq) == open {
				t.Errorf("after %+v Looked(%d) is %t", step, seq, !open)
			}
		}
	}
}
