package simulation

import (
	"fmt"
	"hash/fnv"
)

// behaviour is what a handler does with an event.
type behaviour string

const (
	works    behaviour = "works"
	slow     behaviour = "slow"     // for some seconds, and then works
	stumbles behaviour = "stumbles" // fails one to three times
	panics   behaviour = "panics"   // once
	hangs    behaviour = "hangs"    // once, for longer than a revocation waits, deaf to its ctx
	fails    behaviour = "fails"    // for good
	later    behaviour = "later"    // for good, and works when its letter is tried again
)

// behaviourOf is what the handler does with the event, as the seed wants it.
// n is what else is drawn for it.
func behaviourOf(seed uint64, h handler, id string) (b behaviour, n int) {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%d %s/%s %s", seed, h.group, h.name, id)
	// FNV's high bits are the good ones once they are mixed.
	x := sum.Sum64()
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	n = int(x >> 40 % 1000)
	switch draw := x % 1000; {
	case draw < 900:
		return works, n
	case draw < 930:
		return slow, n
	case draw < 960:
		return stumbles, n
	case draw < 970:
		return panics, n
	case draw < 975:
		return hangs, n
	case draw < 990 && h.mayFail:
		return fails, n
	case h.mayFail && h.later:
		return later, n
	}
	return works, n
}
