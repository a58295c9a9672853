// Package keyeddistributor hands values to the readers that wait for their
// key, inside the process: the fan-out of events.RegisterFiltered, over
// github.com/sharnoff/eventdistributor.
package keyeddistributor

import (
	"sync"

	"github.com/sharnoff/eventdistributor"
)

// Distributor gives each value to the readers of its key. Its methods may be
// called by several goroutines at once.
type Distributor[T any, K comparable] struct {
	keyOf func(T) K

	mu   sync.Mutex
	keys map[K]*channel[T] // guarded by mu; only keys that have readers
}

// channel is what the readers of one key share.
type channel[T any] struct {
	distributor *eventdistributor.Distributor[T]
	readers     int // guarded by Distributor.mu; more than 0
}

// New makes a distributor of values whose key keyOf returns.
func New[T any, K comparable](keyOf func(T) K) *Distributor[T, K] {
	return &Distributor[T, K]{keyOf: keyOf, keys: make(map[K]*channel[T])}
}

// nobody is closed: what is submitted for a key without readers is consumed.
var nobody = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Submit gives value to the present readers of its key. The returned channel
// closes when each of them has consumed it or has unsubscribed; without
// readers it is closed.
func (d *Distributor[T, K]) Submit(value T) <-chan struct{} {
	key := d.keyOf(value)
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.keys[key]
	if !ok {
		return nobody
	}
	return c.distributor.Submit(value)
}

// Subscribe makes a reader of the values of a key that are submitted from now
// on. Call its Unsubscribe when it is no longer read: what it has not consumed
// stays in memory until then.
func (d *Distributor[T, K]) Subscribe(key K) *Reader[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.keys[key]
	if !ok {
		c = &channel[T]{distributor: eventdistributor.New[T]()}
		d.keys[key] = c
	}
	c.readers++
	return &Reader[T]{reader: c.distributor.Subscribe(), leave: func(r *eventdistributor.Reader[T]) {
		d.mu.Lock()
		defer d.mu.Unlock()
		r.Unsubscribe()
		if c.readers--; c.readers == 0 {
			delete(d.keys, key)
		}
	}}
}

// Reader reads the values of one key. Its methods may be called by several
// goroutines at once.
type Reader[T any] struct {
	reader eventdistributor.Reader[T]
	leave  func(*eventdistributor.Reader[T])
	once   sync.Once
}

// WaitChan returns a channel that closes when there is a value to consume.
func (r *Reader[T]) WaitChan() <-chan struct{} { return r.reader.WaitChan() }

// Consume returns the oldest value that this reader has not consumed. It
// panics if there is none: wait for WaitChan first.
func (r *Reader[T]) Consume() T { return r.reader.Consume() }

// Unsubscribe ends the reader: it must not be used any more. A second call does
// nothing.
func (r *Reader[T]) Unsubscribe() { r.once.Do(func() { r.leave(&r.reader) }) }
