package eventtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// errRedelivered is what a call fails with that RedeliverNth has let run.
var errRedelivered = errors.New("eventtest: the event is delivered again, as RedeliverNth asks")

// FailNth lets the nth call of a handler fail with err, without calling it: as
// if what the handler needs were not there. n counts from 1, from now on, the
// calls for all events of the handlers of that name, retries and batches
// included. err is treated like an error of the handler: it is retried after
// the handler's backoff, unless eventmodels.SetErrorHandling says otherwise.
//
// The test fails at its end if there was no nth call.
func (s *Service) FailNth(handler string, n int, err error) {
	s.t.Helper()
	if err == nil {
		s.t.Fatalf("FailNth(%q, %d, nil): an error is needed", handler, n)
	}
	s.plan(&fault{what: "FailNth", handler: handler, n: n, err: err})
}

// RedeliverNth lets the nth call of a handler run, and its event, or batch, be
// delivered again after the backoff: as if the process had crashed after the
// handler's work and before the offset was committed. If the handler is
// exactly-once the call's transaction is committed, so the second delivery
// does not reach it.
//
// n counts as in FailNth, and the test fails at its end if there was no nth
// call.
func (s *Service) RedeliverNth(handler string, n int) {
	s.t.Helper()
	s.plan(&fault{what: "RedeliverNth", handler: handler, n: n, err: errRedelivered, after: true})
}

func (s *Service) plan(f *fault) {
	s.t.Helper()
	if f.n < 1 {
		s.t.Fatalf("%s(%q, %d): calls are counted from 1", f.what, f.handler, f.n)
	}
	known := false
	for _, e := range s.inside.Engines() {
		for _, h := range e.Handlers() {
			known = known || h.Name == f.handler
		}
	}
	if !known {
		s.t.Fatalf("%s(%q, %d): no handler has this name", f.what, f.handler, f.n)
	}
	s.faults.add(f)
}

// fault is a call that is to fail.
type fault struct {
	what    string
	handler string
	n       int
	err     error
	after   bool // the handler is called first

	calls int // so far
}

// faults are between the library and the handlers.
type faults struct {
	mu  sync.Mutex
	all []*fault // guarded by mu
}

func newFaults() *faults { return new(faults) }

func (fs *faults) add(f *fault) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.all = append(fs.all, f)
}

// intercept is a [testseam.Interceptor].
func (fs *faults) intercept(ctx context.Context, handler string, run func(context.Context) error) error {
	hit := fs.count(handler)
	if hit == nil {
		return run(ctx)
	}
	if hit.after {
		if err := run(ctx); err != nil {
			return err
		}
	}
	return hit.err
}

// count counts a call, and returns the fault that it is to have.
func (fs *faults) count(handler string) (hit *fault) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all {
		if f.handler != handler {
			continue
		}
		f.calls++
		if f.calls == f.n && hit == nil {
			hit = f
		}
	}
	return hit
}

// checkAll complains of what has not happened.
func (fs *faults) checkAll(t testing.TB) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all {
		if f.calls < f.n {
			t.Errorf("%s has not happened: the handler was called %s", fmt.Sprintf("%s(%q, %d)", f.what, f.handler, f.n), callCount(f.calls))
		}
	}
}

func callCount(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
