package gapset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// A reader reads pages into a Set and writes down what has become of it.
type reader struct {
	t   *testing.T
	set Set
}

// read lets the set observe a complete page.
func (r *reader) read(p Proof, seqs ...int64) { r.t.Helper(); r.observe(p, true, seqs) }

// readCut lets the set observe a page that was cut by its limit.
func (r *reader) readCut(p Proof, seqs ...int64) { r.t.Helper(); r.observe(p, false, seqs) }

func (r *reader) observe(p Proof, complete bool, seqs []int64) {
	r.t.Helper()
	if err := r.set.Observe(r.set.Ask(), Page{Seqs: seqs, Complete: complete, Proof: p}); err != nil {
		r.t.Fatalf("Observe(%v): %v", seqs, err)
	}
}

func (r *reader) want(want string) {
	r.t.Helper()
	if got := state(&r.set); got != want {
		r.t.Fatalf("the set is %s, want %s", got, want)
	}
	checkInvariants(r.t, &r.set)
}

// state is a set as a string: the hint, and then the gaps.
func state(s *Set) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", s.Hint())
	for _, g := range s.gaps {
		if g.Lo == g.Hi {
			fmt.Fprintf(&b, " %d", g.Lo)
		} else {
			fmt.Fprintf(&b, " %d-%d", g.Lo, g.Hi)
		}
	}
	return b.String()
}

// size is the number of seqs in the gaps.
func size(s *Set) (n int64) {
	for _, g := range s.gaps {
		n += g.Hi - g.Lo + 1
	}
	return n
}

func checkInvariants(t *testing.T, s *Set) {
	t.Helper()
	for i, g := range s.gaps {
		if g.Lo > g.Hi || g.Lo < 1 || g.Hi > s.hint {
			t.Fatalf("gap %v with the hint %d", g, s.hint)
		}
		if i > 0 && s.gaps[i-1].Hi >= g.Lo-1 {
			t.Fatalf("gaps %v and %v are not apart", s.gaps[i-1], g)
		}
		if i > 0 && s.gaps[i-1].horizon > g.horizon {
			t.Fatalf("the horizon of gap %v is above that of %v", s.gaps[i-1], g)
		}
	}
	if s.quiet > len(s.gaps) || (s.quiet == 0) != (len(s.blockers) == 0) || !slices.IsSorted(s.blockers) {
		t.Fatalf("%d of %d gaps are quiet, blocked by %v", s.quiet, len(s.gaps), s.blockers)
	}
	for _, g := range s.gaps[:s.quiet] {
		if g.horizon == unproven {
			t.Fatalf("gap %v is quiet and has no horizon", g)
		}
	}
}

func TestGapIsNoticedFilledAndClosed(t *testing.T) {
	r := &reader{t: t}
	r.want("0:")
	r.read(XID(10, 0), 1, 2, 5, 9)
	r.want("9: 3-4 6-8")
	if !r.set.unproven() {
		t.Fatal("new gaps have no horizon")
	}
	r.read(XID(10, 20), 4, 7, 10)
	r.want("10: 3 6 8")
	if r.set.unproven() {
		t.Fatal("the page came with a horizon")
	}
	r.read(XID(19, 0))
	r.want("10: 3 6 8")
	r.read(XID(20, 0), 6)
	r.want("10:")
}

// A gap that a page has made does not get the horizon that comes with the page:
// that xid may have been drawn before the read.
func TestHorizonIsForOlderGapsOnly(t *testing.T) {
	r := &reader{t: t}
	r.read(XID(5, 0), 2)
	r.read(XID(5, 7), 4)
	r.want("4: 1 3")
	r.read(XID(7, 0))
	r.want("4: 3")
	r.read(XID(1000, 0))
	r.want("4: 3")
	r.read(XID(1000, 1000))
	r.want("4:")
}

// What a page that was cut has not looked at stays open, whatever the snapshot
// proves.
func TestCutPageClosesOnlyWhatItCovers(t *testing.T) {
	open := func(t *testing.T) *reader {
		r := &reader{t: t}
		r.read(XID(1, 0), 3, 6, 9)
		r.want("9: 1-2 4-5 7-8")
		r.read(XID(1, 50))
		return r
	}
	t.Run("empty", func(t *testing.T) {
		r := open(t)
		r.readCut(XID(99, 0))
		r.want("9: 1-2 4-5 7-8")
	})
	t.Run("within a gap", func(t *testing.T) {
		r := open(t)
		r.readCut(XID(99, 0), 4)
		r.want("9: 5 7-8")
	})
	t.Run("at the end of a gap", func(t *testing.T) {
		r := open(t)
		r.readCut(XID(99, 0), 1, 5)
		r.want("9: 7-8")
	})
	t.Run("above the hint", func(t *testing.T) {
		r := open(t)
		r.readCut(XID(99, 0), 10)
		r.want("10:")
	})
}

// The xmax of a snapshot is not above every xid: this is the transcript of the
// package's documentation, and why XID asks for an xid that was drawn.
func TestXmaxIsNoHorizon(t *testing.T) {
	// C (10) and G (11) run; G draws 1, C draws 2 and commits.
	const g, xmin, xmax = 11, 11, 11

	wrong := &reader{t: t}
	wrong.read(XID(10, 0), 2)
	wrong.read(XID(xmin, xmax)) // G still runs
	wrong.want("2:")            // and what it will commit is lost

	right := &reader{t: t}
	right.read(XID(10, 0), 2)
	right.read(XID(xmin, g+1)) // the next xid to be had is 12
	right.want("2: 1")
	right.read(XID(g+2, 0), 1) // G has committed
	right.want("2:")
}

func TestClock(t *testing.T) {
	const patience = 5 * time.Minute
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) Proof { return Clock(start.Add(d), patience) }
	r := &reader{t: t}
	r.read(at(0), 2)
	r.read(at(time.Second), 4)
	r.want("4: 1 3")
	r.read(at(2 * time.Second))
	r.read(at(patience + time.Second - 1))
	r.want("4: 1 3")
	r.read(at(patience + time.Second))
	r.want("4: 3")
	r.read(at(time.Hour - 30*time.Minute)) // later by far
	r.want("4:")

	// A clock that goes back delays, and does not close.
	r.read(at(time.Hour), 6)
	r.read(at(time.Hour))
	r.read(at(0), 8)
	r.read(at(0))
	r.read(at(time.Hour + patience - 1))
	r.want("8: 5 7")
	r.read(at(time.Hour + patience))
	r.want("8:")

	// A clock that is not set closes nothing, and no gap without it.
	r.read(Clock(time.Time{}, patience), 10)
	r.read(Clock(time.Time{}, patience))
	r.want("10: 9")
}

func TestSerial(t *testing.T) {
	r := &reader{t: t}
	r.read(Serial(), 3, 7)
	r.want("7:")
	r.readCut(Serial(), 20)
	r.want("20:")
}

func TestNoProof(t *testing.T) {
	r := &reader{t: t}
	r.read(Proof{}, 3)
	r.read(Proof{})
	r.want("3: 1-2")
	if !r.set.unproven() {
		t.Fatal("the gap needs a horizon")
	}
}

func TestReset(t *testing.T) {
	r := &reader{t: t}
	r.read(XID(5, 0), 3, 5)
	q := r.set.Ask()
	r.set.Reset(0)
	r.want("0:")
	if err := r.set.Observe(q, Page{Seqs: []int64{1, 4, 6}, Complete: true}); !errors.Is(err, ErrStale) {
		t.Fatalf("the page of before the reset: %v", err)
	}
	r.want("0:")
	r.read(XID(5, 6), 5, 6)
	r.want("6: 1-4")
	r.set.Reset(-3)
	r.want("0:")
	r.set.Reset(100)
	r.want("100:")
	r.read(XID(5, 0), 102)
	r.want("102: 101")
}

func TestAskedOnceAnsweredOnce(t *testing.T) {
	var s Set
	q := s.Ask()
	page := Page{Seqs: []int64{2}, Complete: true, Proof: XID(9, 0)}
	if err := s.Observe(q, page); err != nil {
		t.Fatal(err)
	}
	if err := s.Observe(q, page); !errors.Is(err, ErrStale) {
		t.Fatalf("the same page again: %v", err)
	}
	if err := s.Observe(Question{}, page); !errors.Is(err, ErrStale) {
		t.Fatalf("a question that was not asked: %v", err)
	}
	if got := state(&s); got != "2: 1" {
		t.Fatal(got)
	}
}

// A page that cannot be an answer changes nothing.
func TestImpossiblePages(t *testing.T) {
	for _, seqs := range [][]int64{
		{12, 11},            // not in order
		{11, 11},            // twice
		{4},                 // seen
		{10},                // the hint
		{2, 6},              // one in a gap, one not
		{0},                 // no seq
		{-5, 2},             //
		{math.MinInt64},     //
		{2, 3, 2},           // not in order, in gaps
		{2, 3, 7, 8, 9, 10}, // in gaps, and then not
	} {
		r := &reader{t: t}
		r.read(XID(5, 0), 1, 4, 5, 6, 10)
		r.want("10: 2-3 7-9")
		q := r.set.Ask()
		if err := r.set.Observe(q, Page{Seqs: seqs, Complete: true, Proof: Serial()}); err == nil || errors.Is(err, ErrStale) {
			t.Errorf("Observe(%v): error %v", seqs, err)
		}
		r.want("10: 2-3 7-9")
		// The question has not been answered.
		if err := r.set.Observe(q, Page{Seqs: []int64{8}, Complete: true}); err != nil {
			t.Error(err)
		}
		r.want("10: 2-3 7 9")
	}
}

func TestHugeGaps(t *testing.T) {
	r := &reader{t: t}
	r.read(Proof{}, 1_000_000_000_000)
	r.read(Proof{}, 500_000_000_000, math.MaxInt64)
	if len(r.set.gaps) != 3 || size(&r.set) != math.MaxInt64-3 {
		t.Fatalf("%d gaps of %d seqs", len(r.set.gaps), size(&r.set))
	}
	r.read(Proof{}, math.MaxInt64-1)
	checkInvariants(t, &r.set)
	r.read(Serial())
	r.want(fmt.Sprint(math.MaxInt64, ":"))
}

func TestQuestion(t *testing.T) {
	r := &reader{t: t}
	r.read(Proof{}, 3, 5)
	q := r.set.Ask()
	if fmt.Sprint(q.Gaps) != "[{1 2} {4 4}]" || q.Above != 5 {
		t.Fatalf("%v above %d", q.Gaps, q.Above)
	}
}

// In the steady state, with some gaps that come and go, nothing is allocated.
func TestAllocations(t *testing.T) {
	var s Set
	seqs := make([]int64, 0, 100)
	var next int64
	round := func() {
		seqs = seqs[:0]
		for _, g := range s.Ask().Gaps { // every second gap is filled
			if g.Lo%2 == 0 {
				seqs = append(seqs, g.Lo)
			}
		}
		for range 50 {
			next += 3
			seqs = append(seqs, next)
		}
		if err := s.Observe(s.Ask(), Page{Seqs: seqs, Complete: true, Proof: XID(uint64(next), uint64(next))}); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations per page", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, gaps := range []int{0, 10, 10_000} {
		b.Run(fmt.Sprint("gaps=", gaps), func(b *testing.B) {
			var s Set
			seqs := make([]int64, gaps)
			for i := range seqs {
				seqs[i] = int64(i+1) * 1000
			}
			if err := s.Observe(s.Ask(), Page{Seqs: seqs, Complete: true}); err != nil {
				b.Fatal(err)
			}
			next := s.Hint()
			page := make([]int64, 100)
			b.ReportAllocs()
			for b.Loop() {
				for i := range page {
					next++
					page[i] = next
				}
				if err := s.Observe(s.Ask(), Page{Seqs: page, Complete: true, Proof: XID(5, 10)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
