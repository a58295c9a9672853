package delivery

// parts is a batch on its way to those of its events that are to blame: what
// is left of it, cut into parts that run one after the other.
//
//	1 2 3 4 5 6 7 8      fails, with 6 bad
//	1 2 3 4 | 5 6 7 8    the first part succeeds, the next one fails
//	5 6 | 7 8            fails
//	5 | 6 | 7 8          5 succeeds, 6 fails: it stands alone
//	7 8                  succeeds
//
// The order of the events is kept: nothing runs before everything in front of
// it has run. One bad event of n stands alone after at most log2 n failures
// (rounded up); between two of these a part may succeed.
type parts[T any] struct {
	stack [][]T // the last one runs next; none is empty
}

// push makes members, of which there is one at least, the part that runs next.
// It owns them from then on.
func (p *parts[T]) push(members []T) { p.stack = append(p.stack, members) }

func (p *parts[T]) empty() bool { return len(p.stack) == 0 }

// next is the part that runs next, nil if there is none. It is not to be
// changed.
func (p *parts[T]) next() []T {
	if p.empty() {
		return nil
	}
	return p.stack[len(p.stack)-1]
}

// pass removes the next part: each of its members has its verdict.
func (p *parts[T]) pass() {
	last := len(p.stack) - 1
	p.stack[last] = nil
	p.stack = p.stack[:last]
}

// halve cuts the next part in two, the smaller half first; a single member
// stays as it is.
func (p *parts[T]) halve() {
	whole := p.next()
	half := len(whole) / 2
	if half == 0 {
		return
	}
	p.pass()
	p.stack = append(p.stack, whole[half:], whole[:half:half])
}

// remove takes out the members that match, wherever they are, and calls taken
// for each of them in their order.
func (p *parts[T]) remove(match func(T) bool, taken func(T)) {
	for i := len(p.stack) - 1; i >= 0; i-- {
		p.stack[i] = filter(p.stack[i], match, taken)
	}
	p.stack = filter(p.stack, func(part []T) bool { return len(part) == 0 }, func([]T) {})
}

// all calls yield for every member, in order.
func (p *parts[T]) all(yield func(T) bool) {
	for i := len(p.stack) - 1; i >= 0; i-- {
		for _, member := range p.stack[i] {
			if !yield(member) {
				return
			}
		}
	}
}
