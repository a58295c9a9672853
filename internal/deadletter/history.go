package deadletter

import (
	"maps"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// maxEntries is from how many records on, of all partitions together,
// histories forget those that are committed. Each takes about a hundred bytes.
// A partition may always have leastEntries.
const (
	maxEntries   = 50_000
	leastEntries = 2_000
)

// history is what is known of a partition in one assignment: of [lo, hi) every
// operation, and from its first fetched record on every record. It has no lock:
// see Index.
type history struct {
	letters map[eventmodels.Mark]*letters.Fold
	entries int
	// limit is from how many entries on those below committed are forgotten, if
	// that is more than the partition's share.
	limit int

	// lo is -1 until something was fetched.
	lo, hi int64
	// next is behind what was fetched.
	next int64
	// end is where the log ended when that was last asked; -1 before that.
	end   int64
	asked time.Time
	// resets counts truncations of the log.
	resets int
	// reading is closed when the reading ends that is under way; nil if none
	// is. So long nothing is forgotten.
	reading chan struct{}
	// committed is what the group has committed.
	committed int64

	// running is, for each letter that runs or whose outcome is not written
	// yet, the record that it runs for; waiting are the offsets that wait for
	// it.
	running map[eventmodels.Mark]int64
	waiting map[eventmodels.Mark][]int64
}

func newHistory() *history {
	return &history{
		running: make(map[eventmodels.Mark]int64),
		waiting: make(map[eventmodels.Mark][]int64),
		letters: make(map[eventmodels.Mark]*letters.Fold),
		lo:      -1, hi: -1, next: -1, end: -1,
	}
}

// truncated forgets what lay at an offset or above: others take these places.
// What lies below is still in the log, and may still wait to be run. Where the
// log ends now is asked again.
func (h *history) truncated(from int64) {
	h.resets++
	h.entries = 0
	for id, fold := range h.letters {
		if fold.Truncate(from) {
			delete(h.letters, id)
		}
		h.entries += fold.Len()
	}
	maps.DeleteFunc(h.running, func(_ eventmodels.Mark, at int64) bool { return at >= from })
	for id, offsets := range h.waiting {
		h.waiting[id] = slices.DeleteFunc(offsets, func(at int64) bool { return at >= from })
	}
	h.lo, h.hi, h.next, h.end = min(h.lo, from), from, from, -1
	h.committed = min(h.committed, from)
}

// mustWait says whether another record of the letter runs; if so, the delivery
// of the record at offset is woken when that has ended.
func (h *history) mustWait(id eventmodels.Mark, offset int64) bool {
	at, runs := h.running[id]
	if !runs || at == offset {
		return false
	}
	if !slices.Contains(h.waiting[id], offset) {
		h.waiting[id] = append(h.waiting[id], offset)
	}
	return true
}

// ran ends the run for a record, if there is one, and returns who waited for
// that.
func (h *history) ran(id eventmodels.Mark, offset int64) (woken []int64) {
	if at, runs := h.running[id]; !runs || at != offset {
		return nil
	}
	woken = h.waiting[id]
	delete(h.running, id)
	delete(h.waiting, id)
	return woken
}

// add notes one record.
func (h *history) add(offset int64, header letters.Header) {
	fold := h.letters[header.ID]
	if fold == nil {
		fold = new(letters.Fold)
		h.letters[header.ID] = fold
	}
	before := fold.Len()
	fold.Add(header.Entry(offset))
	h.entries += fold.Len() - before
}

// fetched notes what a poll has returned, and returns the records that may be
// overtaken by it and are not done. share is how many entries the partition may
// have.
func (h *history) fetched(records []*kafka.Record, next int64, share int) (overtaken []int64) {
	first := next
	if len(records) > 0 {
		first = records[0].Offset
	}
	if h.next >= 0 && first < h.next {
		h.truncated(first)
	}
	if h.lo < 0 {
		h.lo, h.hi = first, first
	}
	for _, r := range records {
		header, _, err := letters.Parse(r.Headers)
		if err != nil {
			continue
		}
		h.add(r.Offset, header)
		if header.Kind.Operation() && header.Kind != letters.Done { // what is done has been run, and waits for nothing
			overtaken = append(overtaken, h.letters[header.ID].EventsBetween(h.committed, r.Offset)...)
		}
	}
	h.next = next
	h.hi = max(h.hi, next)
	if h.entries > max(h.limit, share) && h.committed > h.lo && h.reading == nil {
		h.forget(h.committed)
	}
	return overtaken
}

// forget drops what lies below an offset.
func (h *history) forget(below int64) {
	h.lo = below
	h.entries = 0
	for id, fold := range h.letters {
		if fold.Forget(below) {
			delete(h.letters, id)
		}
		h.entries += fold.Len()
	}
}

// learnt ends a reading. What it needed is not forgotten before it was used.
func (h *history) learnt() {
	close(h.reading)
	h.reading = nil
	h.limit = max(h.limit, 2*h.entries)
}

// judge says whether a record is to be run. If it cannot yet, needs is below
// lo, or the log's end is not known.
func (h *history) judge(id eventmodels.Mark, offset int64) (run bool, needs int64, known bool) {
	run, needs = h.letters[id].Judge(offset, h.lo)
	return run, needs, h.end >= 0 && h.hi >= h.end && needs == h.lo
}
