// Package ackwindow keeps account of which records of one partition are done,
// and of how far the consumer group may commit.
//
// Records are fetched in the order of their offsets and become done in any
// order. A group commits one offset per partition: everything below it is done.
// So a [Window] holds what has been fetched from the oldest record that is not
// done onwards, and the position that may be committed is where it begins:
//
//	fetched     17  18  20  21  25        offsets have holes (compaction, markers of transactions)
//	done         x       x      x
//	            |___________________|
//	                 18 is the oldest that is not done: commit 18
//
// The window is contiguous in the order in which records were fetched, and not
// in offsets, so that a hole is nothing that could never become done.
//
// A record that is never done keeps the window from moving, and what is done
// behind it is done again by the next owner of the partition. The window's
// limits bound how much that is: beyond them it takes no record, and the
// partition is held.
//
// # Results that come too late
//
// Handlers outlive what they were started for: the partition is assigned to
// somebody else, and perhaps to us again; or its log was truncated and it is
// read again from an earlier offset. A [Slot] is therefore the place of one
// record in one assignment and one fetch. If either is over, [Window.Done]
// ignores it.
//
// When an offset is fetched that lies below what has been fetched already, the
// records from there on have been replaced by others: [Window.Truncate] takes
// them out of the window, and their slots are worth nothing from then on. The
// records below that offset have not been replaced. Those of them that are not
// done remain in front, as otherwise the next commit would pass them.
//
// The package has no goroutine, clock, network or logger. A Window must not be
// used by several goroutines at once: its owner has a lock, which is the one
// that a revocation takes, too.
package ackwindow

import "math"

// Defaults of the limits.
const (
	DefaultRecords = 10_000
	DefaultBytes   = 64 << 20
)

// Limits of a window. One that is zero or negative is the default.
type Limits struct {
	// Records is the span: from the oldest record that is not done to the
	// newest that was fetched, those included that are done.
	Records int
	// Bytes of the records that are not done. A record that is larger than
	// the limit is taken when the window is empty.
	Bytes int
}

// A Slot is the place of a record in a window. Its zero value is the place of
// no record.
type Slot struct {
	epoch uint64 // of the assignment
	fetch uint32 // of the entry; never zero
	n     uint64 // the entry's number
}

// A Position is where reading goes on.
type Position struct {
	Offset int64
	// LeaderEpoch of the last record before Offset, -1 if it is not known.
	LeaderEpoch int32

	epoch uint64 // of the assignment
}

// An entry is a record in the window.
type entry struct {
	offset int64
	bytes  int32
	epoch  int32  // the leader's
	fetch  uint32 // Window.fetch at the time it was added
	done   bool
}

// A Window keeps account of one partition.
type Window struct {
	limits Limits

	// epoch of the assignment, see Start.
	epoch uint64

	// fetch counts the truncations, from 1. Entries that a truncation has
	// dropped and those that come in their place have the same number in the
	// window but another fetch.
	fetch uint32

	// ring holds the entries with the numbers head to tail-1, entry n at n
	// modulo its length, which is zero or a power of two. Offsets ascend.
	// The entry at head is not done, so that the window is empty exactly if
	// everything is done.
	ring       []entry
	head, tail uint64

	// bytes of the entries that are not done.
	bytes int

	// last is the offset that was added last, or the one below the last
	// truncation; noOffset if there was neither. No entry is above it.
	last int64

	// end is behind everything that was fetched: above last, and where Skip
	// has put it; commit, if a truncation has left no entry. Its Offset is
	// noOffset while nothing was fetched.
	end Position

	// commit is the position that may be committed: everything before it is
	// done. At most the offset of the entry at head; end, if there is none.
	// Its Offset is noOffset while nothing is done.
	commit Position

	// committed is the offset that the group has, as far as this window has
	// committed it; noOffset if it has not.
	committed int64
}

const (
	noOffset      = -1 // is less than every offset
	noLeaderEpoch = -1
)

// New returns a window that is started with epoch 0.
func New(limits Limits) *Window {
	if limits.Records <= 0 {
		limits.Records = DefaultRecords
	}
	if limits.Bytes <= 0 {
		limits.Bytes = DefaultBytes
	}
	w := &Window{limits: limits}
	w.Start(0)
	return w
}

// Start begins a new assignment: the window is empty, no position is known, and
// all slots and positions from before are worth nothing. Each assignment, in
// whichever window of the partition, must have an epoch of its own.
func (w *Window) Start(epoch uint64) {
	w.epoch = epoch
	w.fetch++
	w.head, w.tail = 0, 0
	w.bytes = 0
	w.last = noOffset
	w.end = w.position(noOffset, noLeaderEpoch)
	w.commit = w.end
	w.committed = noOffset
}

// Len returns the number of records in the window: the span from the oldest one
// that is not done to the newest. If it is 0, everything is done.
func (w *Window) Len() int { return int(w.tail - w.head) }

// Oldest returns the offset of the oldest record that is not done.
func (w *Window) Oldest() (offset int64, ok bool) {
	if w.head == w.tail {
		return 0, false
	}
	return w.at(w.head).offset, true
}

// Add puts the record that was fetched next at the window's end. bytes is what
// the record takes of Limits.Bytes. If its offset is not above the one that was
// added last, the window is truncated there first.
//
// Not ok means that the window is full: the record has no slot, and there may be
// room for it after the next Done. A window in which everything is done is never
// full.
func (w *Window) Add(offset int64, leaderEpoch int32, bytes int) (s Slot, ok bool) {
	bytes = min(max(bytes, 0), math.MaxInt32)
	w.Truncate(offset)
	if w.full(bytes) {
		return Slot{}, false
	}
	w.last = offset
	if w.commit.Offset > offset { // Skip has gone too far
		w.commit = w.position(offset, noLeaderEpoch)
	}
	w.end = w.position(offset+1, leaderEpoch)

	w.grow()
	n := w.tail
	w.tail++
	*w.at(n) = entry{offset: offset, bytes: int32(bytes), epoch: leaderEpoch, fetch: w.fetch}
	w.bytes += bytes
	return Slot{epoch: w.epoch, fetch: w.fetch, n: n}, true
}

// Truncate notes that what was added from an offset on has been replaced: these
// records leave the window, and their slots are worth nothing. It reports false
// if nothing was added there, and changes nothing then.
func (w *Window) Truncate(offset int64) (truncated bool) {
	if offset > w.last {
		return false
	}
	w.drop(offset)
	w.fetch++
	w.last = offset - 1
	if w.commit.Offset > offset {
		w.commit = w.position(offset, noLeaderEpoch)
	}
	w.end = w.commit
	if w.head < w.tail {
		w.end = w.position(offset, noLeaderEpoch)
	}
	return true
}

// Skip notes that nothing will be added below the offset next: what lay between
// the last record and next were records of no concern to anybody (such as the
// markers of transactions), or nothing. Without it the group would not commit
// them, and its lag would never be 0. leaderEpoch is that of the last record
// skipped. If next is not above what was fetched already, it changes nothing.
func (w *Window) Skip(next int64, leaderEpoch int32) {
	if next <= w.end.Offset {
		return
	}
	w.end = w.position(next, leaderEpoch)
	if w.head == w.tail {
		w.commit = w.end
	}
}

// Done notes that the record in the slot is done, and reports whether the
// window has moved by that, so that there is a new position to commit. A slot
// that is worth nothing any more, or that is done already, changes nothing.
func (w *Window) Done(s Slot) (advanced bool) {
	if !w.Holds(s) {
		return false
	}
	e := w.at(s.n)
	e.done = true
	w.bytes -= int(e.bytes)
	return w.advance()
}

// Holds reports whether the slot is that of a record in the window which is not
// done: whether its result will change something.
func (w *Window) Holds(s Slot) bool {
	if s.epoch != w.epoch || s.n < w.head || s.n >= w.tail {
		return false
	}
	e := w.at(s.n)
	return e.fetch == s.fetch && !e.done
}

// Commit returns the position up to which everything is done; not ok means that
// nothing is, so far.
func (w *Window) Commit() (p Position, ok bool) {
	return w.commit, w.commit.Offset != noOffset
}

// Dirty reports whether there is a position to commit that has not been
// committed.
func (w *Window) Dirty() bool {
	return w.commit.Offset != noOffset && w.commit.Offset != w.committed
}

// Committed notes that the group has committed p, which Commit has returned. A
// position of an assignment that is over changes nothing.
func (w *Window) Committed(p Position) {
	if p.epoch == w.epoch {
		w.committed = p.Offset
	}
}

func (w *Window) position(offset int64, leaderEpoch int32) Position {
	return Position{Offset: offset, LeaderEpoch: leaderEpoch, epoch: w.epoch}
}

func (w *Window) at(n uint64) *entry { return &w.ring[n&uint64(len(w.ring)-1)] }

func (w *Window) full(bytes int) bool {
	return w.Len() > 0 && (w.Len() >= w.limits.Records || bytes > w.limits.Bytes-w.bytes)
}

// drop takes the records from offset on out of the window.
func (w *Window) drop(offset int64) {
	for w.tail > w.head && w.at(w.tail-1).offset >= offset {
		w.tail--
		if e := w.at(w.tail); !e.done {
			w.bytes -= int(e.bytes)
		}
	}
}

// advance moves the head to the oldest record that is not done.
func (w *Window) advance() bool {
	head := w.head
	for w.head < w.tail && w.at(w.head).done {
		w.head++
	}
	if w.head == head {
		return false
	}
	if w.head == w.tail {
		w.commit = w.end
	} else {
		e := w.at(w.head - 1)
		w.commit = w.position(e.offset+1, e.epoch)
	}
	return true
}

// grow makes room in the ring for one more entry. The ring starts small, as
// most partitions are never far behind, and is kept: there is nothing to
// allocate for a record once it has been as long as it needs to be.
func (w *Window) grow() {
	if w.Len() < len(w.ring) {
		return
	}
	old := *w
	w.ring = make([]entry, max(64, 2*len(old.ring)))
	for n := w.head; n < w.tail; n++ {
		*w.at(n) = *old.at(n)
	}
}
