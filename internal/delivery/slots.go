package delivery

import (
	"sync"
	"sync/atomic"
)

// DefaultSlots is how many deliveries run at once in a library.
const DefaultSlots = 20

// Slots are the running slots that the handlers of a library share. Every
// handler has one of its own, so that nobody else's hung handlers can stop it.
// The others are shared: who gets none waits in line, and a handler that gets
// one goes to the end of the line for its next.
//
//	slots = 5, handlers = 3:   own a | own b | own c | shared | shared
//
// With more handlers than slots nothing is shared, and each runs one delivery.
//
// Handlers with [Places] need one of these, too, also for their own slot.
type Slots struct {
	*line
	limit int

	// Guarded by line.mu.
	members int
	used    int // shared ones
}

// line is where handlers wait for a slot, or a place, that there is not at the
// moment. Slots that have Places in common have one line.
type line struct {
	// contended mirrors len(waiting) > 0, to be looked at without the lock.
	contended atomic.Bool

	mu      sync.Mutex
	waiting []*seat
}

// NewSlots returns n slots; 20 if n is not positive.
func NewSlots(n int) *Slots { return newSlots(n, &line{}) }

// Beside returns n more slots, of which none is shared with s, for handlers
// that have Places in common with those of s.
func (s *Slots) Beside(n int) *Slots { return newSlots(n, s.line) }

func newSlots(n int, l *line) *Slots {
	if n <= 0 {
		n = DefaultSlots
	}
	return &Slots{line: l, limit: n}
}

// Places bound how many deliveries run at once of the handlers that share
// them, as many as there is something for that each of them needs: database
// connections. A delivery begins when it has its place, so that it does not
// wait for what it needs in the time that its handler has.
type Places struct {
	limit int
	used  int // guarded by the lock of the Slots
}

// NewPlaces returns n places, at least one. The handlers that share them have
// the same Slots, or such that are [Slots.Beside] each other.
func NewPlaces(n int) *Places { return &Places{limit: max(n, 1)} }

// A seat is a handler's part of the slots.
type seat struct {
	slots  *Slots
	places *Places // nil: it needs none
	// granted is called, without locks, when the handler has come to the
	// front of the line: it has one more slot then, which it uses or releases.
	granted func()

	// Guarded by Slots.mu. The first of the taken slots is the handler's own,
	// the others are shared ones.
	taken  int
	queued bool
}

// join adds a handler.
func (s *Slots) join(places *Places, granted func()) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members++
	return &seat{slots: s, places: places, granted: granted}
}

// leave takes the handler back. The slots that it has taken stay taken until
// they are released. One more can be shared now: see release for the result.
func (t *seat) leave() []*seat {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members--
	if t.queued {
		t.queued = false
		s.waiting = without(s.waiting, t)
		s.contended.Store(len(s.waiting) > 0)
	}
	return s.serve()
}

// acquire takes a slot if there is one, else the handler waits in line. It
// overtakes nobody who could have the slot: serve would have given it to him.
func (t *seat) acquire() bool {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.available() {
		t.take()
		return true
	}
	if !t.queued {
		t.queued = true
		s.waiting = append(s.waiting, t)
		s.contended.Store(true)
	}
	return false
}

// release gives a slot back. The result are those who have waited and have one
// now: their granted is to be called once no lock is held.
func (t *seat) release() []*seat {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	t.put()
	return s.serve()
}

// serve gives what is free to those who wait, in turn.
func (s *line) serve() (granted []*seat) {
	if len(s.waiting) == 0 {
		return nil
	}
	s.waiting = filter(s.waiting, (*seat).available, func(t *seat) {
		t.queued = false
		t.take()
		granted = append(granted, t)
	})
	s.contended.Store(len(s.waiting) > 0)
	return granted
}

// available reports whether there is a slot, and a place, for the handler.
func (t *seat) available() bool { return t.slotFree() && t.placeFree() }

func (t *seat) slotFree() bool {
	return t.taken == 0 || t.slots.used < t.slots.limit-t.slots.members
}

func (t *seat) placeFree() bool { return t.places == nil || t.places.used < t.places.limit }

func (t *seat) take() {
	if t.taken++; t.taken > 1 {
		t.slots.used++
	}
	if t.places != nil {
		t.places.used++
	}
}

func (t *seat) put() {
	if t.taken--; t.taken > 0 {
		t.slots.used--
	}
	if t.places != nil {
		t.places.used--
	}
}

// shouldYield reports whether others wait for what the handler could give
// them: a slot beyond its own, or a place.
func (t *seat) shouldYield() bool {
	s := t.slots
	if !s.contended.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		slot := t.taken > 1 && w.slots == t.slots || w.slotFree() // more may be taken than there are, since somebody has joined
		place := w.places == t.places || w.placeFree()
		if w != t && slot && place {
			return true
		}
	}
	return false
}
