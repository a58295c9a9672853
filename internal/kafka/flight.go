package kafka

import (
	"context"
	"errors"
	"sync"
)

// flights make sure that a thing that is found out about topics is found out
// once, however many ask at the same time, and is kept when it is known.
//
// One flight is for all topics that a caller is the first to ask about, so that
// they share a request. Each topic of it gets its own result. A caller's ctx
// ends its wait only; a flight that nobody waits for any more is cancelled, so
// that nothing is stuck for ever, and the next caller begins a new one.
type flights[V any] struct {
	// fly finds out about the topics and reports each of them once, or what
	// it last failed with while it tries again. It returns when ctx ends at
	// the latest; topics that it has not reported by then fail with ctx's
	// error.
	fly func(ctx context.Context, topics []WireTopic, f *flight[V])

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
	known   map[WireTopic]V
	pending map[WireTopic]*landing[V] // what the next caller waits for, too
	flying  map[*flight[V]]struct{}   // all that have not ended, also those whose topics were forgotten
}

// flight is one run of fly.
type flight[V any] struct {
	of      *flights[V]
	cancel  context.CancelCauseFunc
	waiters int                       // under of.mu
	open    map[WireTopic]*landing[V] // not yet reported; under of.mu
}

// landing is the result of one topic, once done is closed.
type landing[V any] struct {
	flight *flight[V]
	done   chan struct{}
	value  V
	err    error
	trying error // what the last attempt failed with; under flights.mu
}

var errNoResult = errors.New("no result")

func newFlights[V any](fly func(context.Context, []WireTopic, *flight[V])) *flights[V] {
	return &flights[V]{
		fly: fly, known: make(map[WireTopic]V), pending: make(map[WireTopic]*landing[V]), flying: make(map[*flight[V]]struct{}),
	}
}

// get waits until all topics are known, have failed, or ctx ends. Both maps
// together have every topic.
func (f *flights[V]) get(ctx context.Context, topics []WireTopic) (map[WireTopic]V, map[WireTopic]error) {
	values := make(map[WireTopic]V, len(topics))
	waits := make(map[WireTopic]*landing[V])
	failed := make(map[WireTopic]error)
	f.mu.Lock()
	var missing []WireTopic
	for _, t := range topics {
		if v, ok := f.known[t]; ok {
			values[t] = v
		} else if l := f.pending[t]; l != nil {
			waits[t] = l
		} else if waits[t] == nil {
			missing = append(missing, t)
			waits[t] = &landing[V]{done: make(chan struct{})}
		}
	}
	if f.stopped {
		f.mu.Unlock()
		for t := range waits {
			failed[t] = ErrClosed
		}
		return values, failed
	}
	f.start(missing, waits)
	joined := make(map[*flight[V]]bool)
	for _, l := range waits {
		if !joined[l.flight] {
			joined[l.flight] = true
			l.flight.waiters++
		}
	}
	f.mu.Unlock()
	defer f.leave(joined)

	for t, l := range waits {
		select {
		case <-l.done:
		case <-ctx.Done():
			failed[t] = f.gaveUp(ctx, l)
			continue
		}
		if l.err != nil {
			failed[t] = l.err
		} else {
			values[t] = l.value
		}
	}
	return values, failed
}

// start begins the flight of topics; f.mu is held.
func (f *flights[V]) start(topics []WireTopic, waits map[WireTopic]*landing[V]) {
	if len(topics) == 0 {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	fl := &flight[V]{of: f, cancel: cancel, open: make(map[WireTopic]*landing[V], len(topics))}
	for _, t := range topics {
		l := waits[t]
		l.flight = fl
		fl.open[t] = l
		f.pending[t] = l
	}
	f.flying[fl] = struct{}{}
	f.running.Go(func() {
		defer f.landed(fl)
		f.fly(ctx, topics, fl)
		var zero V
		err := context.Cause(ctx)
		if err == nil {
			err = errNoResult
		}
		for _, t := range topics {
			fl.report(t, zero, err) // counts only for those without a result
		}
	})
}

// landed notes the end of a flight.
func (f *flights[V]) landed(fl *flight[V]) {
	fl.cancel(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flying, fl)
}

// leave ends a caller's wait.
func (f *flights[V]) leave(joined map[*flight[V]]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for fl := range joined {
		fl.waiters--
		if fl.waiters == 0 {
			fl.abandon()
		}
	}
}

// abandon cancels a flight; of.mu is held. Its topics are free for the next
// caller at once, though the request that is under way may still be answered.
func (fl *flight[V]) abandon() {
	fl.cancel(nil)
	for t, l := range fl.open {
		if fl.of.pending[t] == l {
			delete(fl.of.pending, t)
		}
	}
}

// report is a topic's result. Only the first one counts.
func (fl *flight[V]) report(topic WireTopic, value V, err error) {
	f := fl.of
	f.mu.Lock()
	defer f.mu.Unlock()
	l := fl.open[topic]
	if l == nil {
		return
	}
	delete(fl.open, topic)
	if f.pending[topic] == l {
		delete(f.pending, topic)
		if err == nil {
			f.known[topic] = value
		}
	}
	l.value, l.err = value, err
	close(l.done)
}

// trying keeps what an attempt failed with, for callers that give up before
// the next one.
func (fl *flight[V]) trying(topic WireTopic, err error) {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	if l := fl.open[topic]; l != nil {
		l.trying = err
	}
}

// gaveUp is the error of a caller whose ctx has ended.
func (f *flights[V]) gaveUp(ctx context.Context, l *landing[V]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.trying != nil {
		return errors.Join(ctx.Err(), l.trying)
	}
	return ctx.Err()
}

// cached is what is known of a topic, without waiting.
func (f *flights[V]) cached(topic WireTopic) (V, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.known[topic]
	return v, ok
}

// revise changes what is known of a topic, if anything is and change wants to, and
// reports whether it has.
func (f *flights[V]) revise(topic WireTopic, change func(V) (V, bool)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.known[topic]
	if ok {
		v, ok = change(v)
	}
	if ok {
		f.known[topic] = v
	}
	return ok
}

// forget makes the next caller find out again. What is being found out right
// now may be about what was before, so it is not kept.
func (f *flights[V]) forget(topic WireTopic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, topic)
	delete(f.pending, topic)
}

// stop cancels all flights and waits until they have ended.
func (f *flights[V]) stop() {
	f.mu.Lock()
	f.stopped = true
	for fl := range f.flying {
		fl.cancel(ErrClosed)
	}
	f.mu.Unlock()
	f.running.Wait()
}
