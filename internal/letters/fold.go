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
	for i, e := range f.entries {
		if e.Offset == offset {
			return f.effects(NoRecord)[i] == yes
		}
	}
	return false
}

// effect is whether a record takes effect.
type effect uint8

const (
	no effect = iota
	yes
	unknown // an operation that is not known may lie between
)

// effects are the effects of the entries if nothing is known of the records
// below from. An operation that has no effect itself stops nothing: who writes
// what follows the record before it has reckoned with it or need not.
func (f *Fold) effects(from int64) []effect {
	effects := make([]effect, len(f.entries))
	for i, e := range f.entries {
		effects[i] = yes
		if e.always() {
			continue
		}
		if e.Follows+1 < from {
			effects[i] = unknown
		}
		for j := i - 1; j >= 0 && f.entries[j].Offset > e.Follows; j-- {
			if !f.entries[j].Kind.Operation() {
				continue
			}
			if effects[j] == yes {
				effects[i] = no
				break
			}
			if effects[j] == unknown {
				effects[i] = unknown
			}
		}
	}
	return effects
}

// always says that the record takes effect whatever lies before it.
func (e Entry) always() bool { return e.Kind == Done || e.Kind == Letter && e.Follows == NoRecord }

// State returns the letter's state, and the newest record with effect: what
// the next operation follows. The entry's Offset is NoRecord if there is none.
func (f *Fold) State() (State, Entry) {
	effects := f.effects(NoRecord)
	for i, e := range slices.Backward(f.entries) {
		if effects[i] == yes {
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

func (e Entry) failure() bool { return e.Kind == Letter || e.Kind == Copy }

// Failure returns the newest letter with effect: what tells the error and
// carries the event. The entry's Offset is NoRecord if there is none.
func (f *Fold) Failure() Entry { return f.newest(Letter) }

// Carrier returns what carries the event: Failure, or, if the log does not have
// it any more, the newest copy with effect.
func (f *Fold) Carrier() Entry {
	if e := f.newest(Letter); e.Offset != NoRecord {
		return e
	}
	return f.newest(Copy)
}

// newest returns the newest record of a kind with effect.
func (f *Fold) newest(kind Kind) Entry {
	effects := f.effects(NoRecord)
	for i, e := range slices.Backward(f.entries) {
		if e.Kind == kind && effects[i] == yes {
			return e
		}
	}
	return Entry{Offset: NoRecord, Follows: NoRecord}
}

// Settled says, of a letter that was read from its newest record down to the
// offset from, whether State and Failure are known: no older record can change
// them.
func (f *Fold) Settled(from int64) bool {
	effects := f.effects(from)
	for i, e := range slices.Backward(f.entries) {
		switch {
		case effects[i] == unknown:
			return false
		case effects[i] == yes && e.Kind == Letter:
			return true
		}
	}
	return false
}
