package gapset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// A Range is a run of seqs, both ends included.
type Range struct{ Lo, Hi int64 }

// A Question is what the next read has to look at: all of it, in one snapshot.
type Question struct {
	// Gaps are ordered, disjoint, and do not touch each other; without the
	// quiet ones. The slice belongs to the Set and is valid until the next Ask.
	Gaps []Range
	// Blockers are the xids of the transactions that alone can fill a quiet
	// gap; none if there is no such gap. If one of them has ended in the read's
	// snapshot the read must not return anything but that; see [Page.Ended].
	// The slice belongs to the Set and is valid until the next Observe.
	Blockers []uint64
	// Above: the rows with a greater seq are asked for, too. No gap lies
	// above it.
	Above int64

	// turn is the Set's at the time of the question.
	turn uint64
}

// A Page is what a read has returned.
type Page struct {
	// Seqs that were found, in ascending order.
	Seqs []int64
	// Complete says that the read was not cut: it has returned everything
	// that was asked for, and not just the first n rows. Of a page that is
	// not complete, only what lies at or below its last seq has been looked
	// at.
	Complete bool
	// Ended says that the read has returned nothing, since one of the
	// question's blockers had ended in its snapshot: the next question has all
	// the gaps.
	Ended bool
	// Proof of the snapshot with which the page was read.
	Proof Proof
}

// ErrStale is returned by [Set.Observe] for the page of a question that is not
// the Set's current one. The page has changed nothing and must be dropped.
var ErrStale = errors.New("gapset: the page answers an older question")

// A gap is a range with the proof that it needs to close.
type gap struct {
	Range
	horizon uint64
}

// A Set is the hint and the gaps. The zero value is a Set that has seen
// nothing, as after Reset(0).
type Set struct {
	// hint is the greatest seq that has been seen, or what Reset has set.
	hint int64

	// gaps lie at or below the hint, are ordered and disjoint, and do not
	// touch each other: between two of them lies a seq that was seen or that
	// belonged to a gap which has been closed.
	//
	// Their horizons do not decrease. Those that have none (unproven) are
	// therefore the last ones, and those that can close the first.
	gaps []gap

	// The first quiet gaps are those that only a transaction of blockers can
	// fill: a read has looked at them, and has not found them, in a snapshot in
	// which all the other transactions below their horizon had ended. blockers
	// is in order, and empty exactly if quiet is 0. Gaps that are quiet are
	// neither asked for nor changed.
	quiet    int
	blockers []uint64

	// sample are the xids that ran some pages ago; pages counts those since.
	sample []uint64
	pages  int

	// turn is the number of pages and resets so far. A question is good for
	// one page.
	turn uint64

	// asked is the Gaps of the last question; current says that it still is
	// what gaps says.
	asked   []Range
	current bool

	// spare is a buffer for fill.
	spare []gap
}

// Hint returns the seq up to which everything has been looked at, but for the
// gaps.
func (s *Set) Hint() int64 { return s.hint }

// Reset forgets everything. What lies above hint has not been looked at, and
// what lies at or below it will not be. Seqs begin with 1, so that Reset(0)
// has everything read from the beginning.
func (s *Set) Reset(hint int64) {
	s.hint = max(hint, 0)
	s.gaps = s.gaps[:0]
	s.wake()
	s.changed()
}

// Floor returns the highest seq up to which everything has been looked at, and
// nothing will appear.
func (s *Set) Floor() int64 {
	if len(s.gaps) > 0 {
		return s.gaps[0].Lo - 1
	}
	return s.hint
}

// Looked reports whether a read has looked at seq, so that no row with it can
// appear any more.
func (s *Set) Looked(seq int64) bool {
	if seq > s.hint {
		return false
	}
	i := s.find(s.gaps, seq)
	return i == len(s.gaps) || seq < s.gaps[i].Lo
}

// Ask returns what the next read has to look at.
func (s *Set) Ask() Question {
	if !s.current {
		s.asked = s.asked[:0]
		for _, g := range s.gaps[s.quiet:] {
			s.asked = append(s.asked, g.Range)
		}
		s.current = true
	}
	return Question{Gaps: s.asked, Blockers: s.blockers, Above: s.hint, turn: s.turn}
}

// Observe takes the page that answers q. Everything on the page is new, and is
// asked for by no later question.
//
// It returns ErrStale if there has been another page or a Reset since q, and
// another error if the page cannot be an answer to q (it is not in order, or
// has a seq that q did not ask for). Nothing has changed then.
func (s *Set) Observe(q Question, p Page) error {
	if q.turn != s.turn {
		return ErrStale
	}
	if p.Ended {
		s.wake()
		s.changed()
		return nil
	}
	below, err := s.check(p.Seqs)
	if err != nil {
		return err
	}

	// The order matters. What the page contains leaves the gaps before one
	// can close. The proof's horizon goes to the gaps that were asked for,
	// and not to those that this page makes: it may be older than they are.
	s.fill(p.Seqs[:below])
	s.prove(p.Proof.horizon)
	s.advance(p.Seqs[below:])
	s.close(covered(p), p.Proof.ended)
	s.hush(covered(p), p.Proof)
	s.changed()
	return nil
}

// covered returns the seq up to which the read has looked at everything that
// was asked for. No gap lies on both sides of it, for it is the page's last seq
// and that has been taken out of the gaps.
func covered(p Page) int64 {
	switch {
	case p.Complete:
		return math.MaxInt64
	case len(p.Seqs) > 0:
		return p.Seqs[len(p.Seqs)-1]
	default:
		return 0
	}
}

func (s *Set) changed() {
	s.turn++
	s.current = false
}

// check verifies that seqs answer the current question, and returns how many of
// them lie at or below the hint.
func (s *Set) check(seqs []int64) (below int, err error) {
	at := s.quiet // no gap before this one can have the next seq
	for i, seq := range seqs {
		if i > 0 && seq <= seqs[i-1] {
			return 0, fmt.Errorf("gapset: the read returned seq %d after %d; it must return each row once, in the order of seq", seq, seqs[i-1])
		}
		if seq > s.hint {
			continue
		}
		below++
		at += s.find(s.gaps[at:], seq)
		if at == len(s.gaps) || seq < s.gaps[at].Lo {
			return 0, fmt.Errorf("gapset: the read returned seq %d, which is neither in a gap nor above %d", seq, s.hint)
		}
	}
	return below, nil
}

// find returns the index of the first gap that does not lie below seq.
func (*Set) find(gaps []gap, seq int64) int {
	return sort.Search(len(gaps), func(i int) bool { return gaps[i].Hi >= seq })
}

// fill takes seqs, each of which is in a gap, out of the gaps.
func (s *Set) fill(seqs []int64) {
	if len(seqs) == 0 {
		return
	}
	// The gaps from the first seq on are written anew: a seq in the middle
	// of a gap makes two of it.
	first := s.find(s.gaps, seqs[0]) // not a quiet one
	s.spare = append(s.spare[:0], s.gaps[first:]...)
	s.gaps = s.gaps[:first]
	for i, g := range s.spare {
		if len(seqs) == 0 {
			s.gaps = append(s.gaps, s.spare[i:]...)
			return
		}
		open := true // something of g remains to be written
		for open && len(seqs) > 0 && seqs[0] <= g.Hi {
			seq := seqs[0]
			seqs = seqs[1:]
			if g.Lo < seq {
				s.gaps = append(s.gaps, gap{Range{g.Lo, seq - 1}, g.horizon})
			}
			open = seq < g.Hi
			g.Lo = seq + 1
		}
		if open {
			s.gaps = append(s.gaps, g)
		}
	}
}

// prove gives horizon to all the gaps that have none.
func (s *Set) prove(horizon uint64) {
	if horizon == 0 || !s.unproven() {
		return
	}
	first := sort.Search(len(s.gaps), func(i int) bool { return s.gaps[i].horizon == unproven })
	if first > 0 { // xids only grow, clocks do not
		horizon = max(horizon, s.gaps[first-1].horizon)
	}
	for i := first; i < len(s.gaps); i++ {
		s.gaps[i].horizon = horizon
	}
}

// unproven reports whether there are gaps without a horizon.
func (s *Set) unproven() bool {
	n := len(s.gaps)
	return n > 0 && s.gaps[n-1].horizon == unproven
}

// advance moves the hint to the last of seqs, all of which lie above it. What is
// skipped becomes gaps.
func (s *Set) advance(seqs []int64) {
	for _, seq := range seqs {
		if seq-1 > s.hint {
			s.gaps = append(s.gaps, gap{Range{s.hint + 1, seq - 1}, unproven})
		}
		s.hint = seq
	}
}

// close removes the gaps that lie at or below covered and whose horizon ended
// has reached.
func (s *Set) close(covered int64, ended uint64) {
	if s.quiet > 0 {
		return // a transaction below the first gap's horizon runs
	}
	n := 0
	for n < len(s.gaps) && s.gaps[n].horizon <= ended && s.gaps[n].Hi <= covered {
		n++
	}
	s.gaps = slices.Delete(s.gaps, 0, n)
}
