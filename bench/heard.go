package main

import (
	"sync/atomic"
	"time"
)

// heard is when each of several instances has got each event, as the time since
// start.
type heard struct {
	start    time.Time // set before the first event is produced
	produced []time.Duration
	at       [][]atomic.Int64 // by instance and event
	missing  atomic.Int64
	done     chan struct{} // closed when nothing is missing
}

func newHeard(events, instances int) *heard {
	h := &heard{produced: make([]time.Duration, events), at: make([][]atomic.Int64, instances), done: make(chan struct{})}
	for i := range h.at {
		h.at[i] = make([]atomic.Int64, events)
	}
	h.missing.Store(int64(events * instances))
	return h
}

// mark is told that an instance has got an event.
func (h *heard) mark(instance int, event int64) {
	if event >= int64(len(h.produced)) {
		return
	}
	if h.at[instance][event].CompareAndSwap(0, int64(time.Since(h.start))) && h.missing.Add(-1) == 0 {
		close(h.done)
	}
}

// latencies are those of the events from the one with the number warm on, in
// all instances.
func (h *heard) latencies(warm int) []time.Duration {
	all := make([]time.Duration, 0, len(h.at)*(len(h.produced)-warm))
	for _, instance := range h.at {
		for i := warm; i < len(h.produced); i++ {
			all = append(all, time.Duration(instance[i].Load())-h.produced[i])
		}
	}
	return all
}
