package ackwindow

import (
	"slices"
	"testing"
)

// A naive is a Window as one would write it down: everything that was ever
// added, and what has become of it.
type naive struct {
	limits  Limits
	records []*record // as fetched; those that were replaced are gone
	last    int64     // was added, or is below the last truncation
	commit  Position  // the last answer
	end     Position
}

type record struct {
	offset      int64
	leaderEpoch int32
	bytes       int
	done        bool
}

// window returns the records from the oldest one that is not done.
func (n *naive) window() []*record {
	first := slices.IndexFunc(n.records, func(r *record) bool { return !r.done })
	if first < 0 {
		return nil
	}
	return n.records[first:]
}

func (n *naive) bytes() (sum int) {
	for _, r := range n.records {
		if !r.done {
			sum += r.bytes
		}
	}
	return sum
}

func (n *naive) add(r *record) bool {
	n.truncate(r.offset)
	window := n.window()
	if len(window) > 0 && (len(window) >= n.limits.Records || n.bytes()+r.bytes > n.limits.Bytes) {
		return false
	}
	n.records = append(n.records, r)
	n.last = r.offset
	if n.commit.Offset > r.offset {
		n.commit = Position{Offset: r.offset, LeaderEpoch: -1}
	}
	n.end = Position{Offset: r.offset + 1, LeaderEpoch: r.leaderEpoch}
	return true
}

func (n *naive) truncate(offset int64) bool {
	if offset > n.last {
		return false
	}
	n.records = slices.DeleteFunc(n.records, func(old *record) bool { return old.offset >= offset })
	n.last = offset - 1
	if n.commit.Offset > offset {
		n.commit = Position{Offset: offset, LeaderEpoch: -1}
	}
	n.end = Position{Offset: offset, LeaderEpoch: -1}
	if len(n.window()) == 0 {
		n.end = n.commit
	}
	return true
}

func (n *naive) skip(next int64, leaderEpoch int32) {
	if next > n.end.Offset {
		n.end = Position{Offset: next, LeaderEpoch: leaderEpoch}
		if len(n.window()) == 0 {
			n.commit = n.end
		}
	}
}

func (n *naive) done(r *record) (advanced bool) {
	if !slices.Contains(n.records, r) || r.done {
		return false
	}
	before := len(n.window())
	r.done = true
	after := n.window()
	if len(after) == before {
		return false
	}
	if len(after) == 0 {
		n.commit = n.end
		return true
	}
	last := n.records[len(n.records)-len(after)-1]
	n.commit = Position{Offset: last.offset + 1, LeaderEpoch: last.leaderEpoch}
	return true
}

// FuzzWindow compares a Window with the naive one, and checks the promise
// itself: that no position is above a record which is not done. Two bytes make
// a step.
func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 10, 0, 20, 0, 0, 5, 1, 5, 0, 5, 0, 0, 0})
	f.Add([]byte{0, 1, 0, 1, 0, 1, 5, 0, 3, 2, 0, 0, 5, 1, 5, 2, 5, 3, 4, 9})
	f.Add([]byte{0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 5, 0, 3, 7, 3, 4, 6, 1, 7, 7, 0, 0})
	f.Add([]byte{0, 1, 0, 1, 0, 1, 5, 0, 0xc3, 3, 0xe3, 2, 4, 9, 0xe3, 9, 0, 0, 5, 0})
	f.Add([]byte("sphinx of black quartz, judge my vow; and do it once again!!"))
	f.Fuzz(func(t *testing.T, input []byte) {
		limits := Limits{Records: 6, Bytes: 60}
		w := New(limits)
		start := func(epoch uint64) *naive {
			w.Start(epoch)
			none := Position{Offset: -1, LeaderEpoch: -1}
			return &naive{limits: limits, last: -1, commit: none, end: none}
		}
		model := start(1)
		type handle struct {
			slot   Slot
			record *record
		}
		var handles []handle // of all times
		for step := 0; len(input) >= 2; step++ {
			op, arg := input[0], input[1]
			input = input[2:]
			switch {
			case op == 0xff:
				model = start(uint64(step) + 2)
			case op%8 <= 3: // add, now and then at an earlier offset
				offset := max(model.end.Offset, 0) + int64(arg%4)
				if op%8 == 3 {
					offset = max(offset-int64(arg%10), 0)
				}
				if op>>6 == 3 { // as it is read; Add does it otherwise
					if got, want := w.Truncate(offset), model.truncate(offset); got != want {
						t.Fatalf("Truncate(%d): %t, want %t", offset, got, want)
					}
				}
				if op>>5 == 7 { // and nothing comes
					break
				}
				r := &record{offset: offset, leaderEpoch: int32(op >> 3), bytes: int(arg >> 2)}
				want := model.add(r)
				slot, got := w.Add(r.offset, r.leaderEpoch, r.bytes)
				if got != want {
					t.Fatalf("Add(%d): %t, want %t", offset, got, want)
				}
				if got {
					handles = append(handles, handle{slot, r})
				}
			case op%8 == 4:
				next := model.end.Offset + int64(arg%6) - 1
				w.Skip(next, int32(op>>3))
				model.skip(next, int32(op>>3))
			case len(handles) > 0: // done, mostly one of the latest
				h := handles[max(len(handles)-1-int(arg)%12, 0)]
				if op%8 == 7 {
					h = handles[int(arg)%len(handles)]
				}
				if got, want := w.Holds(h.slot), slices.Contains(model.records, h.record) && !h.record.done; got != want {
					t.Fatalf("Holds: %t for offset %d, want %t", got, h.record.offset, want)
				}
				if got, want := w.Done(h.slot), model.done(h.record); got != want {
					t.Fatalf("Done: %t for offset %d, want %t", got, h.record.offset, want)
				}
			}

			window := model.window()
			if w.Len() != len(window) || w.bytes != model.bytes() {
				t.Fatalf("Len %d, Bytes %d; want %d and %d", w.Len(), w.bytes, len(window), model.bytes())
			}
			oldest, ok := w.Oldest()
			if ok != (len(window) > 0) || ok && oldest != window[0].offset {
				t.Fatalf("Oldest %d, %t; want %v", oldest, ok, window)
			}
			p, ok := w.Commit()
			if p.Offset != model.commit.Offset || p.LeaderEpoch != model.commit.LeaderEpoch || ok != (p.Offset >= 0) {
				t.Fatalf("Commit %+v, %t; want %+v", p, ok, model.commit)
			}
			for _, r := range model.records {
				if ok && !r.done && p.Offset > r.offset {
					t.Fatalf("Commit %+v, and offset %d is not done", p, r.offset)
				}
			}
			if ok && step%5 == 0 {
				w.Committed(p)
				if w.Dirty() {
					t.Fatal("Dirty after Committed")
				}
			}
			if w.Dirty() && p.Offset == w.committed {
				t.Fatal("Dirty, and committed")
			}
		}
	})
}
