package delivery

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// taker is a handler that wants slots.
type taker struct {
	name    string
	seat    *seat
	holds   int
	waiting bool
}

func takersOf(s *Slots, n int, log *[]string) []*taker {
	var all []*taker
	for i := range n {
		k := &taker{name: string(rune('a' + i))}
		k.seat = s.join(nil, func() {
			k.holds++
			k.waiting = false
			*log = append(*log, k.name)
		})
		all = append(all, k)
	}
	return all
}

func (k *taker) take() {
	if k.seat.acquire() {
		k.holds++
	} else {
		k.waiting = true
	}
}

func (k *taker) release() {
	k.holds--
	for _, next := range k.seat.release() {
		next.granted()
	}
}

func TestSlotsTakeTurns(t *testing.T) {
	var log []string
	s := NewSlots(5)
	all := takersOf(s, 3, &log)
	a, b, c := all[0], all[1], all[2]
	for range 4 {
		a.take() // its own, two shared ones, and in line
	}
	if a.holds != 3 || !a.waiting || a.seat.shouldYield() {
		t.Fatalf("a holds %d", a.holds)
	}
	b.take()
	b.take()
	c.take()
	c.take()
	if b.holds != 1 || c.holds != 1 || !a.seat.shouldYield() || b.seat.shouldYield() {
		t.Fatalf("b holds %d, c %d", b.holds, c.holds)
	}
	a.release() // to a, which was first in line
	a.take()    // and is last now
	a.release()
	a.take()
	a.release()
	b.release()
	b.take()
	c.release()
	if got := strings.Join(log, ""); got != "abcab" {
		t.Errorf("turns: %s", got)
	}
}

func TestMoreHandlersThanSlots(t *testing.T) {
	var log []string
	for _, k := range takersOf(NewSlots(2), 5, &log) {
		k.take()
		k.take()
		if k.holds != 1 {
			t.Errorf("%s holds %d", k.name, k.holds)
		}
		k.release() // its own: nobody else can have it
		if k.holds != 1 {
			t.Errorf("%s holds %d after it has waited", k.name, k.holds)
		}
	}
}

func TestDefaultSlots(t *testing.T) {
	if n := NewSlots(0).limit; n != 20 {
		t.Errorf("%d slots", n)
	}
}

// Whatever handlers do, there are never too many slots, none is lost, nobody
// waits while there is one, and each can always have one.
func TestSlotsAtRandom(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		limit, n := 1+rnd.IntN(10), 1+rnd.IntN(6)
		s := NewSlots(limit)
		var log []string
		all := takersOf(s, n, &log)
		for step := range 300 {
			k := all[rnd.IntN(n)]
			if rnd.IntN(2) == 0 {
				before := k.holds
				k.take()
				if before == 0 && k.holds != 1 {
					t.Fatalf("seed %d: no slot of its own", seed)
				}
			} else if k.holds > 0 {
				k.release()
			}
			shared, anyWaits := 0, false
			for _, k := range all {
				shared += max(k.holds-1, 0)
				anyWaits = anyWaits || k.waiting
				if k.waiting && k.holds == 0 {
					t.Fatalf("seed %d step %d: %s has nothing and waits", seed, step, k.name)
				}
				if k.waiting != slices.Contains(s.waiting, k.seat) {
					t.Fatalf("seed %d step %d: %s waits: %v", seed, step, k.name, k.waiting)
				}
			}
			most := max(limit-n, 0)
			if shared > most || shared != s.used || anyWaits && shared < most {
				t.Fatalf("seed %d step %d: %d of %d shared slots, %d by its own count, somebody waits: %v", seed, step, shared, most, s.used, anyWaits)
			}
		}
		for i, k := range all {
			k.waiting = false
			for _, next := range k.seat.leave() {
				next.granted()
			}
			for _, other := range all[i+1:] {
				if other.waiting && s.used < s.limit-s.members {
					t.Fatalf("seed %d: %s waits although somebody has left", seed, other.name)
				}
			}
		}
		if s.members != 0 {
			t.Errorf("%d members", s.members)
		}
	}
}

// Handlers that share places never have more than these, also with slots of
// their own, and nobody waits who could have what there is.
func TestPlacesAtRandom(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		limit, n := 1+rnd.IntN(10), 2+rnd.IntN(5)
		s := NewSlots(limit)
		places := NewPlaces(1 + rnd.IntN(3))
		var log []string
		all := takersOf(s, n, &log)
		for _, k := range all[:1+rnd.IntN(n)] {
			k.seat.places = places
		}
		for step := range 300 {
			k := all[rnd.IntN(n)]
			if rnd.IntN(2) == 0 {
				k.take()
			} else if k.holds > 0 {
				k.release()
			}
			placed, shared := 0, 0
			for _, k := range all {
				shared += max(k.holds-1, 0)
				if k.seat.places != nil {
					placed += k.holds
				}
			}
			if placed > places.limit || placed != places.used || shared > max(limit-n, 0) || shared != s.used {
				t.Fatalf("seed %d step %d: %d of %d places, %d shared slots", seed, step, placed, places.limit, shared)
			}
			for _, k := range all {
				if k.waiting && (k.holds == 0 || shared < limit-n) && (k.seat.places == nil || placed < places.limit) {
					t.Fatalf("seed %d step %d: %s waits for what there is", seed, step, k.name)
				}
			}
		}
	}
}

// Who has the only place gives it to others that wait for it, also if it has
// no slot but its own; one that needs no place is not kept waiting.
func TestPlacesTakeTurns(t *testing.T) {
	var log []string
	all := takersOf(NewSlots(20), 3, &log)
	a, b, c := all[0], all[1], all[2]
	places := NewPlaces(1)
	a.seat.places, b.seat.places = places, places
	a.take()
	if a.seat.shouldYield() {
		t.Error("a yields to nobody")
	}
	b.take()
	c.take()
	c.take()
	if a.holds != 1 || !b.waiting || c.holds != 2 || !a.seat.shouldYield() || c.seat.shouldYield() {
		t.Errorf("a holds %d, b %d, c %d", a.holds, b.holds, c.holds)
	}
	a.release()
	a.take()
	if b.holds != 1 || !a.waiting {
		t.Errorf("a holds %d, b %d", a.holds, b.holds)
	}
}

// Slots beside each other are counted apart, and places that they have in
// common go to whoever waits, on either side.
func TestSlotsBesideShareOnlyPlaces(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		limits := [2]int{1 + rnd.IntN(6), 1 + rnd.IntN(6)}
		n := 1 + rnd.IntN(4)
		var log []string
		one := NewSlots(limits[0])
		sides := [2]*Slots{one, one.Beside(limits[1])}
		takers := [2][]*taker{takersOf(sides[0], n, &log), takersOf(sides[1], n, &log)}
		places := NewPlaces(1 + rnd.IntN(4))
		for _, side := range takers {
			for _, k := range side {
				k.seat.places = places
			}
		}
		for step := range 300 {
			k := takers[rnd.IntN(2)][rnd.IntN(n)]
			if rnd.IntN(2) == 0 {
				k.take()
			} else if k.holds > 0 {
				k.release()
			}
			placed := 0
			var shared [2]int
			for i, side := range takers {
				for _, k := range side {
					placed += k.holds
					shared[i] += max(k.holds-1, 0)
				}
				if shared[i] > max(limits[i]-n, 0) || shared[i] != sides[i].used {
					t.Fatalf("seed %d step %d: %d shared slots of %d", seed, step, shared[i], limits[i])
				}
			}
			if placed > places.limit || placed != places.used {
				t.Fatalf("seed %d step %d: %d of %d places", seed, step, placed, places.limit)
			}
			for i, side := range takers {
				for _, k := range side {
					if k.waiting && placed < places.limit && (k.holds == 0 || shared[i] < limits[i]-n) {
						t.Fatalf("seed %d step %d: one waits for what there is", seed, step)
					}
				}
			}
		}
	}
}
