package delivery

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

type ctxKey struct{}

func newRunContext(timeout time.Duration) *runContext {
	parent, cancel := context.WithCancelCause(context.WithValue(context.Background(), ctxKey{}, "value"))
	cancel(errTest) // which must not reach it
	return &runContext{values: context.WithoutCancel(parent), deadline: time.Now().Add(timeout)}
}

func TestRunContextTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRunContext(time.Minute)
		if c.Err() != nil || context.Cause(c) != nil || c.Value(ctxKey{}) != "value" || c.Value("other") != nil {
			t.Errorf("%v %v %v", c.Err(), context.Cause(c), c.Value(ctxKey{}))
		}
		began := time.Now()
		<-c.Done()
		if time.Since(began) != time.Minute || c.Err() != context.DeadlineExceeded || context.Cause(c) != eventmodels.TimeoutErr {
			t.Errorf("%v: %v, %v", time.Since(began), c.Err(), context.Cause(c))
		}
		c.end(errTest)
		if context.Cause(c) != eventmodels.TimeoutErr {
			t.Error("the first cause does not stay")
		}
	})
}

func TestRunContextIsInterrupted(t *testing.T) {
	for _, looked := range []bool{false, true} {
		c := newRunContext(time.Hour)
		if looked {
			<-time.After(0)
			_ = c.Done()
		}
		c.end(errRevoked)
		<-c.Done()
		if c.Err() != context.Canceled || context.Cause(c) != errRevoked || c.interrupted() != errRevoked {
			t.Errorf("%v, %v", c.Err(), context.Cause(c))
		}
		c.end(errLost)
		if context.Cause(c) != errRevoked {
			t.Error("the first cause does not stay")
		}
	}
}

func TestRunContextThatHasEnded(t *testing.T) {
	c := newRunContext(time.Hour)
	c.end(nil)
	if c.Err() != context.Canceled || context.Cause(c) != context.Canceled {
		t.Errorf("%v, %v", c.Err(), context.Cause(c))
	}
	if c.interrupted() != nil {
		t.Error("interrupted")
	}
}

// Contexts derived from it need no goroutine, and end with it.
func TestContextsDerivedFromARunContext(t *testing.T) {
	c := newRunContext(time.Hour)
	before := runtime.NumGoroutine()
	child, cancel := context.WithTimeout(context.WithValue(c, ctxKey{}, 1), time.Minute)
	defer cancel()
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, before %d", n, before)
	}
	c.end(errLost)
	<-child.Done()
	if !errors.Is(context.Cause(child), errLost) {
		t.Errorf("cause %v", context.Cause(child))
	}
}

// A handler that does not look at its context costs no timer.
func TestRunContextIsLazy(t *testing.T) {
	c := newRunContext(time.Hour)
	if n := testing.AllocsPerRun(100, func() {
		c.Deadline()
		c.end(nil)
	}); n != 0 || c.Value(ctxKey{}) == nil || c.inner != nil {
		t.Errorf("%v allocations", n)
	}
}
