package delivery

import (
	"container/heap"
	"time"
)

// retries are the deliveries that wait for their time, the next one first.
type retries struct{ h retryHeap }

func (r *retries) len() int { return len(r.h) }

func (r *retries) push(d *delivery) { heap.Push(&r.h, d) }

// next is when the first one is due.
func (r *retries) next() (at time.Time, ok bool) {
	if len(r.h) == 0 {
		return time.Time{}, false
	}
	return r.h[0].next, true
}

// popDue takes the first one if it is due.
func (r *retries) popDue(now time.Time) *delivery {
	if len(r.h) == 0 || r.h[0].next.After(now) {
		return nil
	}
	return heap.Pop(&r.h).(*delivery)
}

// take removes the deliveries that match and calls taken for each.
func (r *retries) take(match func(*delivery) bool, taken func(*delivery)) {
	kept := r.h[:0]
	for _, d := range r.h {
		if match(d) {
			taken(d)
			continue
		}
		kept = append(kept, d)
	}
	clear(r.h[len(kept):])
	r.h = kept
	heap.Init(&r.h)
}

type retryHeap []*delivery

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }

func (h retryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *retryHeap) Push(x any) { *h = append(*h, x.(*delivery)) }

func (h *retryHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return d
}
