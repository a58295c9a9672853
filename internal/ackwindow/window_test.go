package ackwindow

import (
	"fmt"
	"math"
	"testing"
)

func add(t *testing.T, w *Window, offset int64) Slot {
	t.Helper()
	return wantRoom(t, w, offset, 10)
}

func wantFull(t *testing.T, w *Window, offset int64, bytes int) {
	t.Helper()
	if s, ok := w.Add(offset, 1, bytes); ok || s != (Slot{}) {
		t.Fatalf("there is room for offset %d: %+v", offset, s)
	}
}

func wantRoom(t *testing.T, w *Window, offset int64, bytes int) Slot {
	t.Helper()
	s, ok := w.Add(offset, 1, bytes)
	if !ok {
		t.Fatalf("no room for offset %d", offset)
	}
	return s
}

func wantCommit(t *testing.T, w *Window, offset int64, leaderEpoch int32) {
	t.Helper()
	p, ok := w.Commit()
	if !ok || p.Offset != offset || p.LeaderEpoch != leaderEpoch {
		t.Fatalf("Commit: %+v, %t; want the offset %d and the leader epoch %d", p, ok, offset, leaderEpoch)
	}
}

func wantNoCommit(t *testing.T, w *Window) {
	t.Helper()
	if p, ok := w.Commit(); ok || w.Dirty() {
		t.Fatalf("Commit: %+v, Dirty %t; nothing is done", p, w.Dirty())
	}
}

func TestCommitIsContiguous(t *testing.T) {
	w := New(Limits{})
	s17, _ := w.Add(17, 3, 10)
	s18, _ := w.Add(18, 3, 10)
	s20, _ := w.Add(20, 4, 10) // 19 is a hole
	wantNoCommit(t, w)

	if w.Done(s18) {
		t.Error("advanced over 17")
	}
	wantNoCommit(t, w)
	if offset, ok := w.Oldest(); offset != 17 || !ok || w.Len() != 3 || w.bytes != 20 {
		t.Errorf("Oldest %d, %t; Len %d; Bytes %d", offset, ok, w.Len(), w.bytes)
	}
	if !w.Done(s17) {
		t.Error("not advanced")
	}
	wantCommit(t, w, 19, 3)
	if w.Done(s17) || w.Done(s18) {
		t.Error("done twice")
	}
	if !w.Done(s20) {
		t.Error("not advanced")
	}
	wantCommit(t, w, 21, 4)
	if _, ok := w.Oldest(); ok || w.Len() != 0 || w.bytes != 0 {
		t.Errorf("the window is not empty: Len %d, Bytes %d", w.Len(), w.bytes)
	}
}

func TestDirty(t *testing.T) {
	w := New(Limits{})
	w.Done(add(t, w, 1))
	p, _ := w.Commit()
	if !w.Dirty() {
		t.Fatal("not dirty")
	}
	w.Done(add(t, w, 2)) // while the commit is on its way
	w.Committed(p)
	if !w.Dirty() {
		t.Fatal("not dirty")
	}
	p, _ = w.Commit()
	w.Committed(p)
	if w.Dirty() {
		t.Fatal("dirty")
	}

	// The answer to a commit of the assignment before.
	w.Start(7)
	wantNoCommit(t, w)
	w.Done(add(t, w, 2))
	w.Committed(p)
	if !w.Dirty() {
		t.Fatal("not dirty")
	}
}

func TestSkip(t *testing.T) {
	w := New(Limits{})
	w.Skip(5, 2) // nothing but markers so far
	wantCommit(t, w, 5, 2)
	s5 := add(t, w, 5)
	w.Skip(8, 3) // a marker at 7
	wantCommit(t, w, 5, 2)
	w.Done(s5)
	wantCommit(t, w, 8, 3)

	// In the middle it is a hole.
	s8 := add(t, w, 8)
	w.Skip(10, 3)
	s10 := add(t, w, 10)
	w.Done(s8)
	wantCommit(t, w, 9, 1)
	w.Done(s10)
	wantCommit(t, w, 11, 1)

	w.Skip(11, 9)
	w.Skip(4, 9)
	wantCommit(t, w, 11, 1)
}

func TestLimits(t *testing.T) {
	t.Run("records", func(t *testing.T) {
		w := New(Limits{Records: 3})
		s1, s2 := add(t, w, 1), add(t, w, 2)
		add(t, w, 3)
		wantFull(t, w, 4, 10)
		w.Done(s2) // the span is what counts
		wantFull(t, w, 4, 10)
		w.Done(s1)
		add(t, w, 4)
		add(t, w, 5)
		wantFull(t, w, 6, 10)
	})
	t.Run("bytes", func(t *testing.T) {
		w := New(Limits{Bytes: 25})
		add(t, w, 1)
		s2 := add(t, w, 2)
		wantFull(t, w, 3, 6)
		wantRoom(t, w, 3, 5)
		wantFull(t, w, 4, 1)
		w.Done(s2) // what is done is held no more
		wantRoom(t, w, 4, 10)
	})
	t.Run("oversized", func(t *testing.T) {
		w := New(Limits{Bytes: 25})
		s := wantRoom(t, w, 1, math.MaxInt)
		wantFull(t, w, 2, 0)
		w.Done(s)
		wantRoom(t, w, 2, 100)
		if w.bytes != 100 {
			t.Fatal(w.bytes)
		}
	})
	t.Run("defaults", func(t *testing.T) {
		w := New(Limits{Records: -1})
		for i := range int64(DefaultRecords) {
			add(t, w, i)
		}
		wantFull(t, w, DefaultRecords, 1)
		w.Start(1)
		wantRoom(t, w, 1, DefaultBytes)
		wantFull(t, w, 2, 1)
	})
}

func TestAssignmentIsOver(t *testing.T) {
	w := New(Limits{})
	w.Start(1)
	old := add(t, w, 5)
	w.Start(2)
	if w.epoch != 2 || w.Len() != 0 || w.bytes != 0 {
		t.Fatalf("epoch %d, Len %d, Bytes %d", w.epoch, w.Len(), w.bytes)
	}
	s := add(t, w, 5)
	if w.Holds(old) || w.Done(old) {
		t.Error("a slot of the assignment before")
	}
	wantNoCommit(t, w)
	if !w.Holds(s) || !w.Done(s) || w.Holds(s) {
		t.Error("the slot of this one")
	}
	wantCommit(t, w, 6, 1)

	// Another window of the same partition.
	w2 := New(Limits{})
	w2.Start(3)
	add(t, w2, 5)
	if w2.Done(old) || w2.Done(s) || w2.Done(Slot{}) {
		t.Error("a slot of another window")
	}
	// The same epoch again.
	w2.Start(3)
	s = add(t, w2, 5)
	w2.Start(3)
	add(t, w2, 5)
	if w2.Done(s) {
		t.Error("a slot of before Start")
	}
}

func TestTruncate(t *testing.T) {
	w := New(Limits{Records: 4, Bytes: 40})
	s5, s6, s7, s8 := add(t, w, 5), add(t, w, 6), add(t, w, 7), add(t, w, 8)
	w.Done(s7)
	if w.Truncate(9) || !w.Holds(s8) {
		t.Error("nothing was added there")
	}

	// There is room for what takes the place of others.
	wantFull(t, w, 9, 10)
	if !w.Truncate(7) || w.Len() != 2 || w.bytes != 20 {
		t.Fatalf("Len %d, Bytes %d", w.Len(), w.bytes)
	}
	if w.Holds(s7) || w.Holds(s8) || w.Done(s8) || !w.Holds(s5) || !w.Holds(s6) {
		t.Error("slots of what has been replaced, and of what has not")
	}
	n7 := wantRoom(t, w, 7, 20)
	wantFull(t, w, 8, 10)
	// What lies below has not been replaced, and is not passed.
	w.Done(n7)
	wantNoCommit(t, w)
	n8, _ := w.Add(8, 2, 10)
	w.Done(s6)
	wantNoCommit(t, w)
	w.Done(s5)
	wantCommit(t, w, 8, 1)
	if w.Done(s8) || !w.Done(n8) {
		t.Error("the slots of offset 8")
	}
	wantCommit(t, w, 9, 2)

	// Below what may be committed; Add truncates, too.
	p, _ := w.Commit()
	w.Committed(p)
	n3 := add(t, w, 3)
	wantCommit(t, w, 3, -1)
	if !w.Dirty() {
		t.Error("the group's offset lies too far ahead")
	}
	n4 := add(t, w, 4)
	n3b, _ := w.Add(3, 3, 10)
	if w.Done(n3) || w.Done(n4) {
		t.Error("everything has been replaced")
	}
	w.Done(n3b)
	wantCommit(t, w, 4, 3)

	// Nothing is left, and nothing comes but a marker.
	n5 := add(t, w, 5)
	if !w.Truncate(4) || w.Len() != 0 || w.bytes != 0 || w.Done(n5) {
		t.Errorf("Len %d, Bytes %d", w.Len(), w.bytes)
	}
	wantCommit(t, w, 4, 3)
	w.Skip(5, 4)
	wantCommit(t, w, 5, 4)
}

// A Skip that went too far (past records that are added later) loses nothing.
func TestSkipTooFar(t *testing.T) {
	w := New(Limits{})
	s5 := add(t, w, 5)
	w.Skip(10, 1)
	s6 := add(t, w, 6)
	w.Done(s6)
	wantNoCommit(t, w)
	w.Done(s5)
	wantCommit(t, w, 7, 1)
	w.Skip(10, 1)
	wantCommit(t, w, 10, 1)
	s8 := add(t, w, 8)
	wantCommit(t, w, 8, -1)
	w.Done(s8)
	wantCommit(t, w, 9, 1)
}

func TestAllocations(t *testing.T) {
	w := New(Limits{})
	var offset int64
	slots := make([]Slot, 0, 1000)
	round := func() {
		slots = slots[:0]
		for range 1000 {
			s, _ := w.Add(offset, 1, 100)
			slots = append(slots, s)
			offset += 2
		}
		for i := range slots { // the oldest last
			w.Done(slots[len(slots)-1-i])
		}
		p, _ := w.Commit()
		w.Committed(p)
	}
	round()
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWindow(b *testing.B) {
	for _, behind := range []int{1, 100, 9999} {
		b.Run(fmt.Sprint("behind=", behind), func(b *testing.B) {
			w := New(Limits{})
			slots := make([]Slot, behind)
			var offset int64
			b.ReportAllocs()
			for b.Loop() {
				i := int(offset) % behind
				if offset >= int64(behind) {
					w.Done(slots[i])
				}
				slots[i], _ = w.Add(offset, 1, 100)
				offset++
			}
		})
	}
}
