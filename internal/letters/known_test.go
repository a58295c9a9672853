package letters

import "testing"

// FuzzJudge: with all entries from a record on, and the operations further down
// that Judge asks for, it says of the record what the whole history does.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{1, 0, 1, 5, 1, 0, 2, 1, 1, 6, 2, 0, 3, 1, 0})
	f.Add([]byte{1, 0, 1, 4, 1, 0, 1, 1, 1, 3, 1, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var entries []Entry
		for i := 0; i+2 < len(script) && len(entries) < 40; i += 3 {
			offset := int64(len(entries))
			e := Entry{Offset: offset, Kind: Kind(script[i] % 7), Mode: Mode(script[i+2] % 2), Follows: NoRecord}
			if script[i+1] > 0 && offset > 0 {
				e.Follows = int64(script[i+1]) % offset
			}
			entries = append(entries, e)
		}
		state, newest := fold(entries...).State()
		for offset := range int64(len(entries)) {
			var part Fold
			for _, e := range entries[offset:] {
				part.Add(e)
			}
			from := offset
			for {
				run, needs := part.Judge(offset, from)
				if needs == from {
					if want := newest.Offset == offset && (state == Waiting || state == Replaying); run != want {
						t.Fatalf("Judge(%d) is %v with what is known from %d on, and %v with all: %+v", offset, run, from, want, entries)
					}
					break
				}
				if needs > from || needs < 0 {
					t.Fatalf("Judge(%d) needs what is from %d on, and has it from %d on: %+v", offset, needs, from, entries)
				}
				for _, e := range entries[needs:from] {
					if e.Kind.Operation() {
						part.Add(e)
					}
				}
				from = needs
			}
		}
	})
}

func TestForget(t *testing.T) {
	f := fold(Entry{Offset: 3, Kind: Letter, Follows: NoRecord}, Entry{Offset: 5, Kind: Replay, Follows: 3}, Entry{Offset: 7, Kind: Done, Follows: 5})
	if got := f.EventsBetween(4, 7); len(got) != 1 || got[0] != 5 {
		t.Errorf("events %v", got)
	}
	if got := f.EventsBetween(0, 7); len(got) != 2 || got[0] != 3 || got[1] != 5 {
		t.Errorf("records with the event: %v", got)
	}
	if f.Forget(5) || f.Len() != 2 || len(f.EventsBetween(0, 7)) != 1 {
		t.Errorf("%d left", f.Len())
	}
	if !f.Forget(8) || f.Len() != 0 {
		t.Errorf("%d left", f.Len())
	}
}
