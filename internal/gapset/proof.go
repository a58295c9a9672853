package gapset

import (
	"math"
	"time"
)

// unproven is the horizon of a gap for which no horizon is known yet. No
// transaction's end reaches it, only [Serial] does.
const unproven = math.MaxUint64

// A Proof is what a read knows about the transactions that might still fill a
// gap. Its zero value is that nothing is known: every gap stays open. A Set
// must be given the proofs of one kind only.
type Proof struct {
	// horizon, for the gaps that were known when the question was asked and
	// have none yet. Zero: none.
	horizon uint64
	// ended closes the gaps, of those that the read has covered, whose
	// horizon it has reached. Zero: none.
	ended uint64
	// running are the xids that ran in the snapshot, all those below next that
	// did; next is 0 if that is not known.
	running []uint64
	next    uint64
}

// XID is the proof of PostgreSQL. xmin is pg_snapshot_xmin of the snapshot with
// which the page was read: every transaction with an xid below it has ended.
//
// drawn is above every xid that had been assigned when the question was asked,
// and zero if no such number is known: an xid that was drawn after the question
// (before the read, by it, or behind it), or the one that is to be drawn next,
// as it was read after the question. pg_snapshot_xmax will not do, see the
// package's documentation.
func XID(xmin, drawn uint64) Proof {
	return Proof{horizon: drawn, ended: xmin}
}

// Running adds to a proof of PostgreSQL which transactions ran in the snapshot:
// xids, in order, are pg_snapshot_xip of it, and xmax is pg_snapshot_xmax, below
// which there are no others. Proofs with it keep gaps quiet that wait for a
// transaction which runs for long, see the package's documentation.
func (p Proof) Running(xids []uint64, xmax uint64) Proof {
	p.running, p.next = xids, xmax
	return p
}

// Clock is the proof of a backend that has none: a gap closes when it has been
// open for patience. now is the time at which the page was read.
func Clock(now time.Time, patience time.Duration) Proof {
	t := now.UnixNano()
	if t <= 0 { // a clock that has not been set must not close anything
		return Proof{}
	}
	return Proof{horizon: uint64(t) + uint64(max(patience, 0)), ended: uint64(t)}
}

// Serial is the proof of a backend in which one transaction writes at a time:
// a seq that a read has skipped will never appear.
func Serial() Proof {
	return Proof{ended: unproven}
}
