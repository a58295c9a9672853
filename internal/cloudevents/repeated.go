package cloudevents

import (
	"hash/maphash"
	"sync/atomic"
)

// repeated keeps strings that come again and again, as the types and sources of
// events do, so that they are allocated once. Every string has its place; of
// those that share one the last is kept. So it has a fixed size, whatever
// comes, and needs no lock.
type repeated struct {
	seed   maphash.Seed
	places [512]atomic.Pointer[string]
}

// longestRepeated bounds what a repeated keeps.
const longestRepeated = 128

func newRepeated() *repeated { return &repeated{seed: maphash.MakeSeed()} }

// of returns value as a string. A nil repeated keeps nothing.
func (r *repeated) of(value []byte) string {
	if r == nil || len(value) == 0 || len(value) > longestRepeated {
		return string(value)
	}
	place := &r.places[maphash.Bytes(r.seed, value)%uint64(len(r.places))]
	if kept := place.Load(); kept != nil && *kept == string(value) {
		return *kept
	}
	text := string(value)
	place.Store(&text)
	return text
}
