package letters

import "slices"

// Judge says whether the record at offset is to be run by the handler that it
// names: it is a waiting letter or a replay, and the letter is still where the
// record has put it. Everything from that record on is known, and of what lies
// below it the operations from from on. If that is not enough, needs is from
// where on the operations have to be known before it is asked again; else needs
// is from.
func (f *Fold) Judge(offset, from int64) (run bool, needs int64) {
	effects := f.effects(from)
	for i, e := range slices.Backward(f.entries) {
		switch {
		case e.Offset < offset:
			return false, from // the record itself has no effect
		case effects[i] == yes:
			state := stateAfter(e)
			return e.Offset == offset && (state == Waiting || state == Replaying), from
		case effects[i] == unknown:
			return false, f.missing(effects, from)
		}
	}
	return false, from
}

// missing returns from where on operations have to be known to know more of the
// effects.
func (f *Fold) missing(effects []effect, from int64) int64 {
	needs := from
	for i, e := range f.entries {
		if effects[i] == unknown {
			needs = min(needs, e.Follows+1)
		}
	}
	return needs
}

// Forget drops the entries below an offset, and reports whether none is left.
func (f *Fold) Forget(below int64) (empty bool) {
	f.entries = slices.DeleteFunc(f.entries, func(e Entry) bool { return e.Offset < below })
	return len(f.entries) == 0
}

// Truncate drops the entries from an offset on, and reports whether none is
// left.
func (f *Fold) Truncate(from int64) (empty bool) {
	f.entries = slices.DeleteFunc(f.entries, func(e Entry) bool { return e.Offset >= from })
	return len(f.entries) == 0
}

// Len returns how many records are known.
func (f *Fold) Len() int { return len(f.entries) }

// EventsBetween returns the offsets of the records from an offset on and below
// another one that carry the event: letters, copies and replays.
func (f *Fold) EventsBetween(from, below int64) []int64 {
	var offsets []int64
	for _, e := range f.entries {
		if e.Offset >= from && e.Offset < below && (e.failure() || e.Kind == Replay) {
			offsets = append(offsets, e.Offset)
		}
	}
	return offsets
}
