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
type Slots struct {
	limit int

	// contended mirrors len(waiting) > 0, to be looked at without the lock.
	contended atomic.Bool

	mu      sync.Mutex
	members int
	used    int // shared ones
	waiting []*seat
}

// NewSlots returns n slots; 20 if n is not positive.
func NewSlots(n int) *Slots {
	if n <= 0 {
		n = DefaultSlots
	}
	return &Slots{limit: n}
}

// A seat is a handler's part of the slots.
type seat struct {
	slots *Slots
	// granted is called, without locks, when the handler has come to the
	// front of the line: it has one more slot then, which it uses or releases.
	granted func()

	// Guarded by Slots.mu. The first of the taken slots is the handler's own,
	// the others are shared ones.
	taken  int
	queued bool
}

// join adds a handler.
func (s *Slots) join(granted func()) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members++
	return &seat{slots: s, granted: granted}
}

// leave takes the handler back. The slots that it has taken stay taken until
// they are released. One more can be shared now: if the result is not nil its
// granted is to be called once no lock is held.
func (t *seat) leave() *seat {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members--
	if t.queued {
		s.unqueue(t)
	}
	return s.next(t)
}

// acquire takes a slot if there is one, else the handler waits in line.
func (t *seat) acquire() bool {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.taken == 0:
		t.taken = 1
		return true
	case len(s.waiting) == 0 && s.used < s.limit-s.members:
		t.taken++
		s.used++
		return true
	}
	if !t.queued {
		t.queued = true
		s.waiting = append(s.waiting, t)
		s.contended.Store(true)
	}
	return false
}

// release gives a slot back. If the result is not nil its granted is to be
// called once no lock is held.
func (t *seat) release() *seat {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	t.taken--
	if t.taken > 0 {
		s.used--
	}
	return s.next(t)
}

// next gives a free slot to the next in line. freed is the handler whose slot
// has become free: if it was its own, only that handler can use it.
func (s *Slots) next(freed *seat) *seat {
	if freed.taken == 0 && freed.queued {
		s.unqueue(freed)
		freed.taken = 1
		return freed
	}
	if len(s.waiting) == 0 || s.used >= s.limit-s.members {
		return nil
	}
	t := s.waiting[0]
	s.unqueue(t)
	t.taken++
	if t.taken > 1 {
		s.used++
	}
	return t
}

func (s *Slots) unqueue(t *seat) {
	t.queued = false
	for i, w := range s.waiting {
		if w == t {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			break
		}
	}
	s.contended.Store(len(s.waiting) > 0)
}

// shouldYield reports whether others wait for a slot that the handler could
// give them: one beyond its own.
func (t *seat) shouldYield() bool {
	s := t.slots
	if !s.contended.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.taken > 1 && len(s.waiting) > 0 && !(len(s.waiting) == 1 && t.queued)
}
