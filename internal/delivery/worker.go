package delivery

import (
	"errors"
	"runtime/debug"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A worker is a goroutine that runs a handler's deliveries one after another,
// with one slot, while there are any.
type worker struct {
	h *handler

	// ds are the deliveries in its hands and ctx their context. Written with
	// the lock; the worker's own goroutine reads them without.
	ds  []*delivery
	ctx *runContext
	// first is the memory of the first message. Like ctx.
	first *eventmodels.Message
	// since is when it took its slot, or last looked whether others want it.
	since time.Time

	// group is the one whose part ds is, if it is one. Like ds.
	group *group
	// spare is where the next ds goes.
	spare []*delivery

	// What follows is its goroutine's own.

	// own and others are the memory of the first message and of the others, if
	// that can be used again.
	own    eventmodels.Message
	others []eventmodels.Message
	// ms are those of the deliveries that can be decoded, errs says why others
	// cannot.
	ms     []*eventmodels.Message
	errs   []error
	ended  attempt
	judged []judgement
}

// given is what an attempt gets that its handler may keep, in one allocation:
// its context, and the message of one event.
type given struct {
	ctx   runContext
	first eventmodels.Message
}

// give makes a context for the next run, and room for the first message.
func (w *worker) give() {
	if w.h.CopiesMessages {
		w.ctx, w.first = new(runContext), &w.own
		return
	}
	g := new(given)
	w.ctx, w.first = &g.ctx, &g.first
}

// work is a worker's goroutine.
func (e *Engine) work(w *worker) {
	ran := false
	defer func() {
		if !ran { // the handler has called runtime.Goexit, as t.FailNow does
			w.ended.err = errGoexit
			w.ctx.end(nil)
			w.ended.ended = time.Now()
			go e.workOn(w)
		}
	}()
	for more := true; more; more = e.finish(w) {
		ran = false
		e.run(w)
		ran = true
	}
	e.exited(w)
}

var errGoexit = errors.New("the handler ended its goroutine with runtime.Goexit")

// workOn goes on after a handler that has ended the worker's goroutine.
func (e *Engine) workOn(w *worker) {
	if e.finish(w) {
		e.work(w)
		return
	}
	e.exited(w)
}

func (e *Engine) exited(w *worker) {
	e.mu.Lock()
	e.s.exited(w)
	e.mu.Unlock()
}

// run makes one attempt with the events that can be decoded; if none can, the
// handler is not called.
func (e *Engine) run(w *worker) {
	w.ms, w.errs = w.ms[:0], w.errs[:0]
	w.ended = attempt{}
	if !w.h.CopiesMessages || len(w.others) < len(w.ds)-1 {
		w.others = make([]eventmodels.Message, len(w.ds)-1)
	}
	for i, d := range w.ds {
		m := w.first
		if i > 0 {
			m = &w.others[i-1]
		}
		err := d.messageFor(&e.cfg, m)
		if err == nil {
			w.ms = append(w.ms, m)
		}
		w.errs = append(w.errs, err)
	}
	if len(w.ms) > 0 {
		w.ended.err = w.ctx.interrupted() // its epoch has ended meanwhile
		if w.ended.err == nil {
			w.ended.ran = true
			w.ended.err = e.runSafely(w)
		}
	}
	w.ctx.end(nil)
	w.ended.ended = time.Now()
}

// runSafely calls the handler. A panic is its error. So is one of a method of the
// error that it returns, such as the Unwrap of a nil pointer: the error is asked
// here what it will be asked later, where nobody recovers.
func (e *Engine) runSafely(w *worker) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	if err = w.h.Run(w.ctx, w.ms); err != nil {
		resultOf(err, false, e.cfg.Fault)
	}
	return err
}

// finish makes the verdicts, lets them take effect, reports, and gets the next
// deliveries; if there are none for this worker it has no slot any more. The
// lock is taken once.
func (e *Engine) finish(w *worker) (more bool) {
	finished := w.ds // take uses other memory
	e.judgeAll(w)
	started, now := finished[0].started, w.ended.ended

	e.mu.Lock()
	e.s.recordAll(w, now)
	more = e.s.next(w, now)
	e.unlock()

	e.observeRun(w, finished, now.Sub(started))
	for i, d := range finished {
		if j := &w.judged[i]; j.took.acked && j.v.Kind == Ack {
			d.event.recycle()
		}
	}
	return more
}
