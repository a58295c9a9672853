package delivery

// fifo is a queue that keeps its memory.
//
// A handler has one of deliveries that can run: one lane, without order among
// those that run at the same time.
type fifo[T any] struct {
	ring       []T // its length is zero or a power of two
	head, tail uint
}

func (q *fifo[T]) len() int { return int(q.tail - q.head) }

func (q *fifo[T]) at(n uint) *T { return &q.ring[n&uint(len(q.ring)-1)] }

func (q *fifo[T]) push(x T) {
	if q.len() == len(q.ring) {
		old := *q
		q.ring = make([]T, max(16, 2*len(old.ring)))
		for n := q.head; n != q.tail; n++ {
			*q.at(n) = *old.at(n)
		}
	}
	*q.at(q.tail) = x
	q.tail++
}

// pop takes the first; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var none T
	first := q.at(q.head)
	x := *first
	*first = none
	q.head++
	return x
}

// take removes those that match, keeps the order of the others, and calls
// taken for each that it removed.
func (q *fifo[T]) take(match func(T) bool, taken func(T)) {
	var none T
	kept := q.head
	for n := q.head; n != q.tail; n++ {
		x := *q.at(n)
		if match(x) {
			taken(x)
			continue
		}
		*q.at(kept) = x
		kept++
	}
	for n := kept; n != q.tail; n++ {
		*q.at(n) = none
	}
	q.tail = kept
}
