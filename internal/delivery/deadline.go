package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// runContext is the context of one attempt. It has a deadline, values but no
// cancellation from outside, and can be interrupted. Its timer and its channel
// are made when somebody first asks for what needs them: many handlers never
// do, and a timer for each event would cost more than the handler.
type runContext struct {
	values   context.Context
	deadline time.Time
	record   *kafka.Record // of a batch, the first
	pressed  bool

	mu     sync.Mutex // a leaf: nothing is called with it held but package context
	inner  context.Context
	cancel context.CancelCauseFunc
	over   bool
	cause  error // why it is over
}

var _ context.Context = (*runContext)(nil)

// Deadline does not need the inner context.
func (c *runContext) Deadline() (time.Time, bool) { return c.deadline, true }
func (c *runContext) Done() <-chan struct{}       { return c.real().Done() }
func (c *runContext) Err() error                  { return c.real().Err() }

// Value asks the values first. What they do not have can be package context's
// own key, with which it finds the cancellation of a parent; only the inner
// context knows that one.
func (c *runContext) Value(key any) any {
	if key == (runKey{}) {
		return c
	}
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.real().Value(key)
}

// runKey finds the runContext in contexts that are made of it.
type runKey struct{}

// RecordOf returns the record that a handler runs for; ctx is made of the one
// that Run was given.
func RecordOf(ctx context.Context) *kafka.Record {
	if c, ok := ctx.Value(runKey{}).(*runContext); ok {
		return c.record
	}
	return nil
}

// Pressed reports whether the delivery, which Run has postponed, was woken
// because its partition's window is full: others wait for its place.
func Pressed(ctx context.Context) bool {
	c, ok := ctx.Value(runKey{}).(*runContext)
	return ok && c.pressed
}

// real returns the context that does the work.
func (c *runContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		interrupted, interrupt := context.WithCancelCause(c.values)
		inner, stop := context.WithDeadlineCause(interrupted, c.deadline, eventmodels.TimeoutErr)
		c.inner = inner
		c.cancel = func(cause error) { interrupt(cause); stop() }
		if c.over {
			c.cancel(c.cause)
		}
	}
	return c.inner
}

// end cancels the context; the first cause stays. A nil cause stands for
// context.Canceled.
func (c *runContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over, c.cause = true, cause
	if c.cancel != nil {
		c.cancel(cause)
	}
}

// interrupted returns why the context is over.
func (c *runContext) interrupted() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
