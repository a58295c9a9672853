package delivery

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// attempt is what is known of an attempt that has ended.
type attempt struct {
	err   error // as it is logged and counted; nil for a success
	ended time.Time
	ran   bool // Run was called: the event could be decoded
}

// resultOf says whose fault err is. A server that is said to be away when the
// handler's time was up is not believed at once, since a driver whose query is
// cancelled says the same of a slow one: that is asked before the final verdict.
func resultOf(err error, timedOut bool, fault func(error) eventmodels.Fault) Result {
	if err == nil || errors.Is(err, eventmodels.ErrAlreadyProcessed) {
		return Succeeded
	}
	if fault == nil || errors.Is(err, eventmodels.ErrDecode) {
		return Failed
	}
	switch fault(err) {
	case eventmodels.FaultAway:
		if !timedOut {
			return Away
		}
	case eventmodels.FaultConflict:
		return Conflict
	}
	return Failed
}

// outcome is what a handler's error, its options and the limits say; the rest
// depends on which deliveries it is about.
func (e *Engine) outcome(h *handler, result Result, err error) Outcome {
	o := Outcome{
		Result:       result,
		Handling:     eventmodels.GetErrorHandling(err),
		RetryAfter:   noRetryAfter,
		OnFailure:    h.OnFailure,
		NoRetry:      h.NoRetry,
		LeastBackoff: h.Backoff.Min,
	}
	if wait, ok := eventmodels.GetRetryAfter(err); ok {
		o.RetryAfter = wait
	}
	return o
}

// waits fills in the waits before the next attempt. attempt is the number of
// this one.
func (e *Engine) waits(o *Outcome, h *handler, attempt int) {
	o.Backoff = h.Backoff.Delay(attempt, rand.Float64())
	o.AwayWait = h.Backoff.Delay(o.Aways, rand.Float64())
	o.ConflictWait = e.cfg.Limits.Conflict.Delay(o.Conflicts, rand.Float64())
}

// classify says whose fault an attempt is that has ended with an error, which
// had time until deadline.
func (e *Engine) classify(h *handler, a *attempt, deadline time.Time) Result {
	timedOut := !a.ended.Before(deadline)
	result := resultOf(a.err, timedOut, e.cfg.Fault)
	if result == Succeeded {
		a.err = nil
	} else if timedOut && !errors.Is(a.err, eventmodels.TimeoutErr) {
		a.err = fmt.Errorf("%w (%v): %w", eventmodels.TimeoutErr, h.Timeout, a.err)
	}
	return result
}

// judge makes the verdict on a delivery's last attempt. The worker that ran it
// calls it, without lock: nobody else uses these fields of d meanwhile.
func (e *Engine) judge(d *delivery, a *attempt) Verdict {
	if a.err == nil {
		return Verdict{Kind: Ack} // what decide says, sooner
	}
	switch says := a.err.(type) {
	case *sendError:
		a.err, d.note = nil, says.note
		return Verdict{Kind: Send}
	case *notBeforeError:
		a.err = nil
		return Verdict{Kind: Postpone, Wait: says.until.Sub(a.ended)}
	}
	result := e.classify(d.h, a, d.deadline)
	if result == Succeeded {
		return Verdict{Kind: Ack}
	}
	d.conflicts, d.aways = inARow(d.conflicts, result == Conflict), inARow(d.aways, result == Away)
	o := e.outcome(d.h, result, a.err)
	o.Conflicts, o.Aways, o.Remaining = d.conflicts, d.aways, d.deadline.Sub(a.ended)
	e.waits(&o, d.h, d.attempt)
	return decide(o)
}

func inARow(n int, again bool) int {
	if again {
		return n + 1
	}
	return 0
}
