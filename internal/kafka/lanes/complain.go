package lanes

import (
	"errors"
	"time"
)

// complainEvery is how often it is said that something goes on failing.
const complainEvery = time.Minute

// errNotAnswered is why rows wait when no lookup of their topic has come back yet.
var errNotAnswered = errors.New("its partitions are not known, and no broker has answered yet")

// complains reports whether it is to be said now that what is wrong since then is
// wrong, and notes that in last: once it has lasted for HoldAfter, and now and then
// from there on. A topic of a source that is not patient is held instead, which
// says so.
func (m *machine) complains(now, since time.Time, last *time.Time, w *work) bool {
	if !m.cfg.Patient || since.IsZero() {
		return false
	}
	at := since.Add(m.cfg.HoldAfter)
	if again := last.Add(complainEvery); !last.IsZero() && again.After(at) {
		at = again
	}
	if at.After(now) {
		w.wakeAt(at)
		return false
	}
	*last = now
	return true
}
