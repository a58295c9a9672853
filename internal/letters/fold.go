package letters

import "slices"

// NoRecord is the Follows of a record that follows none.
const NoRecord int64 = -1

// Entry is what the fold needs to know of a record.
type Entry struct {
	Offset  int64
	Kind    Kind
	Mode    Mode  // of a Letter or a Copy
	Follows int64 // offset of the record that it acts on, or NoRecord
}

// Fold is the history of one letter. Its zero value is a letter of which
// nothing is known. Entries may be added in any order and more than once.
type Fold struct {
	// entries ascend by offset, which is unique.
	entries []Entry
}

// Add adds a record. Kinds that are not known are ignored.
func (f *Fold) Add(e Entry) {
	if e.Kind == Unknown {
		return
	}
	i, known := slices.BinarySearchFunc(f.entries, e.Offset, func(e Entry, offset int64) int {
		switch {
		case e.Offset < offset:
			return -1
		case e.Offset > offset:
			return 1
		}
		return 0
	})
	if !known {
		f.entries = slices.Insert(f.entries, i, e)
	}
}

// Effective returns whether the record at an offset takes effect; false for one
// that is not known.
func (f *Fold) Effective(offset int64) bool {
	for _, e := range f.entries {
		if e.Offset == offset {
			return f.effective(e)
		}
	}
	return false
}

func (f *Fold) effective(e Entry) bool {
	if e.Kind == Done || e.Kind == Letter && e.Follows == NoRecord {
		return true
	}
	for _, between := range f.entries {
		if between.Kind.operation() && between.Offset > e.Follows && between.Offset < e.Offset {
			return false
		}
	}
	return true
}

// State returns the letter's state, and the newest record with effect: what
// the next operation follows. The entry's Offset is NoRecord if there is none.
func (f *Fold) State() (State, Entry) {
	for _, e := range slices.Backward(f.entries) {
		if f.effective(e) {
			return stateAfter(e), e
		}
	}
	return None, Entry{Offset: NoRecord, Follows: NoRecord}
}

func stateAfter(e Entry) State {
	switch e.Kind {
	case Letter, Copy:
		if e.Mode == Retry {
			return Waiting
		}
		return Saved
	case Replay:
		return Replaying
	case Done:
		return Finished
	case Discard:
		return Discarded
	case Reopen:
		return Saved
	}
	return None
}

// Run says whether a record is to be run by the handler that it names: a
// waiting letter or a replay whose letter is still where the record has put it.
func (f *Fold) Run(offset int64) bool {
	state, newest := f.State()
	return newest.Offset == offset && (state == Waiting || state == Replaying)
}
