package gapset

import "slices"

// sampleEvery is the number of pages after which the transactions that run are
// remembered anew. Those that have outlived some pages are likely to outlive
// more.
const sampleEvery = 32

// wake asks for all the gaps again.
func (s *Set) wake() {
	s.quiet, s.blockers = 0, s.blockers[:0]
}

// hush makes gaps quiet that this page has looked at (they lie at or below
// covered) and that only transactions can fill which have run for a while.
//
// A transaction that can fill a gap has an xid below the gap's horizon. If the
// snapshot's xmax has reached that, each of them has ended before the snapshot,
// and then the read has found its rows or there are none, or is one of those
// that run in it. (A transaction at or above xmax may run without being one of
// these.) So the gap need not be looked at before one of those has ended; and
// whether one has is asked of the snapshot of each read, not of an earlier one.
//
// Transactions that are short would end before the next page and wake
// everything, so that what they can fill is left to be asked for.
func (s *Set) hush(covered int64, p Proof) {
	if p.next == 0 {
		return
	}
	defer s.remember(p.running)
	// What runs are, in order, the transactions that can fill the first gaps,
	// and then the others. The blockers of now are among the former, or this
	// page would be one that has nothing.
	next, blockers := s.quiet, 0
	for waits := 0; next < len(s.gaps) && s.gaps[next].horizon <= p.next && s.gaps[next].Hi <= covered; next++ {
		short := false
		for ; waits < len(p.running) && p.running[waits] < s.gaps[next].horizon && !short; waits++ {
			short = !contains(s.blockers, p.running[waits]) && !contains(s.sample, p.running[waits])
		}
		if short || waits == 0 {
			break
		}
		blockers = waits
	}
	if next > s.quiet {
		s.quiet = next
		s.blockers = append(s.blockers[:0], p.running[:blockers]...)
	}
}

// remember takes a sample of what runs now and then.
func (s *Set) remember(running []uint64) {
	if s.pages++; s.pages >= sampleEvery || s.sample == nil {
		s.sample = append(s.sample[:0], running...)
		s.pages = 0
	}
}

// contains searches xids, which are in order.
func contains(xids []uint64, xid uint64) bool {
	_, found := slices.BinarySearch(xids, xid)
	return found
}
