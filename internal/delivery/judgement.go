package delivery

import (
	"errors"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// ErrNamesNone is the error of a run that was to do all or nothing
// (Handler.Atomic), has done nothing, and says that no event has failed.
var ErrNamesNone = errors.New("the run was undone with an error that names no event")

// A judgement is what has become of one of the deliveries that have run
// together.
type judgement struct {
	v   Verdict
	err error // nil for a success, and for what is undone
	// shared: error and verdict are the batch's.
	shared bool
	took   settled
}

// stays reports whether the delivery is tried again with its batch.
func (j *judgement) stays() bool { return j.shared && j.v.Kind != Ack }

// judgeAll makes the verdicts on what a worker has run. An event has its own if
// it has run alone, if it could not be decoded, or if the handler's error is
// about it (eventmodels.BatchError); else it shares the batch's.
func (e *Engine) judgeAll(w *worker) {
	w.judged = w.judged[:0]
	ended := w.ended
	if ended.err == nil && len(w.ms) == len(w.ds) {
		for range w.ds {
			w.judged = append(w.judged, judgement{v: Verdict{Kind: Ack}})
		}
		return
	}
	failed, all := eventmodels.SplitBatchError(ended.err, len(w.ms))
	if w.h.Atomic && ended.err != nil && all == nil && len(failed) == 0 {
		all = ErrNamesNone
	}
	alone := len(w.ms) == 1
	// What fails after a partition has gone may fail because its context was
	// cancelled: the others' events are not to blame.
	_, sends := ended.err.(*sendError)
	interrupted := ended.err != nil && !sends && w.ctx.interrupted() != nil
	undone := judgement{v: decide(Outcome{Result: Undone}), shared: true}
	common := undone
	if all != nil && !interrupted && !alone {
		common = e.judgeTogether(w, all)
	}
	position := 0
	for i, d := range w.ds {
		own := attempt{err: w.errs[i], ended: ended.ended}
		decoded := own.err == nil
		if decoded && all == nil {
			own.err = failed[position]
		} else if decoded {
			own.err = all
		}
		if decoded {
			position++
		}
		j := judgement{v: Verdict{Kind: Ack}}
		switch {
		case own.err == nil && len(failed) > 0 && w.h.Atomic, decoded && own.err != nil && interrupted:
			j = undone
		case own.err == nil:
		case decoded && all != nil && !alone:
			j = common
		default:
			j.v = e.judge(d, &own)
			j.err = own.err
			if own.err != nil && !j.v.Uncounted && (all != nil || w.h.Atomic) {
				d.alone = true
			}
		}
		if j.stays() && j.err != nil {
			d.failedAt(ended.ended)
		}
		w.judged = append(w.judged, j)
	}
}

// judgeTogether makes the verdict on a batch that has failed with an error that
// may be about any of its events.
func (e *Engine) judgeTogether(w *worker, err error) judgement {
	a := attempt{err: err, ended: w.ended.ended}
	deadline, _ := w.ctx.Deadline()
	result := e.classify(w.h, &a, deadline)
	if result == Succeeded {
		return judgement{v: Verdict{Kind: Ack}}
	}
	o := e.outcome(w.h, result, a.err)
	o.Together = true
	o.Repeated = w.group != nil && w.group.repeated
	o.Remaining = deadline.Sub(a.ended)
	attempt := 0
	for i, d := range w.ds {
		if w.errs[i] != nil {
			continue
		}
		d.conflicts, d.aways = inARow(d.conflicts, result == Conflict), inARow(d.aways, result == Away)
		o.Conflicts, o.Aways = max(o.Conflicts, d.conflicts), max(o.Aways, d.aways)
		attempt = max(attempt, d.attempt)
	}
	e.waits(&o, w.h, attempt)
	v := decide(o)
	return judgement{v: v, err: a.err, shared: true}
}

// observeRun tells the observer of a run, and logs what is worth it.
func (e *Engine) observeRun(w *worker, finished []*delivery, took time.Duration) {
	o := &e.cfg.Observer
	ran, failed := false, false
	for i, d := range finished {
		j := &w.judged[i]
		if !j.took.counts {
			continue
		}
		if w.ended.ran && !ran && o.Ran != nil {
			o.Ran(d.h.Handler, took)
		}
		ran = true
		if j.err != nil && !(j.shared && failed) {
			failed = failed || j.shared
			e.observeFailed(d.h.Handler, j.err)
			e.reportFailure(d, j, len(w.ms), w.ended.ended)
		}
		if !j.stays() {
			e.observe(d, j, w.ended.ended)
		}
	}
}
