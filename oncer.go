package events

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed46dd6f11/events/eventdb"
)

// oncer makes passes over the outbox for commits of a process that runs no
// relay: one at a time, and one for all commits that came while the one
// before it ran.
type oncer struct {
	relay *eventdb.Relay

	mu       sync.Mutex
	next     *oncePass     // guarded by mu; not begun; nil if none is needed
	working  bool          // guarded by mu; a goroutine makes passes
	ended    chan struct{} // guarded by mu; closed when that goroutine ends
	stopping bool          // guarded by mu; stop was called
	cancel   context.CancelFunc
	ctx      context.Context
}

type oncePass struct {
	done chan struct{}
	err  error // written before done is closed
}

func newOncer(relay *eventdb.Relay) *oncer {
	o := &oncer{relay: relay, ended: make(chan struct{})}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	close(o.ended)
	return o
}

// pass waits for a pass that begins after the call.
func (o *oncer) pass(ctx context.Context) error {
	o.mu.Lock()
	if o.stopping {
		o.mu.Unlock()
		return ErrStopped
	}
	if o.next == nil {
		o.next = newOncePass()
	}
	mine := o.next
	if !o.working {
		o.working = true
		o.ended = make(chan struct{})
		go o.work(o.ended)
	}
	o.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err() // the pass goes on
	}
}

func newOncePass() *oncePass { return &oncePass{done: make(chan struct{})} }

// work makes passes until nobody waits for one, and another process has not
// left its rows to the last one.
func (o *oncer) work(ended chan struct{}) {
	defer close(ended)
	lastForOthers := false
	for {
		o.mu.Lock()
		p := o.next
		o.next = nil
		if p == nil {
			o.working = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		p.err = o.relay.Once(o.ctx)
		close(p.done)
		if !o.relay.Missed() || lastForOthers {
			continue
		}
		o.mu.Lock()
		if o.next == nil {
			o.next = newOncePass()
		}
		lastForOthers = o.stopping // they may go on for ever
		o.mu.Unlock()
	}
}

// stop waits for the passes that commits wait for, and closes the connections.
// When ctx ends first they are cut short.
func (o *oncer) stop(ctx context.Context) error {
	o.mu.Lock()
	o.stopping = true
	ended := o.ended
	o.mu.Unlock()
	select {
	case <-ended:
		o.cancel()
		o.relay.Stop()
		return nil
	case <-ctx.Done():
		o.cancel()
		go func() { // it may have to wait for the database
			<-ended
			o.relay.Stop()
		}()
		return &AbandonedError{Err: fmt.Errorf("a pass over the outbox was not waited for: %w", ctx.Err())}
	}
}
