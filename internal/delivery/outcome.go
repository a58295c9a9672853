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
	timedOut := !a.ended.Before(d.deadline)
	result := resultOf(a.err, timedOut, e.cfg.Fault)
	if result == Succeeded {
		a.err = nil
		return Verdict{Kind: Ack}
	}
	if timedOut && !errors.Is(a.err, eventmodels.TimeoutErr) {
		a.err = fmt.Errorf("%w (%v): %w", eventmodels.TimeoutErr, d.h.Timeout, a.err)
	}
	d.conflicts, d.aways = inARow(d.conflicts, result == Conflict), inARow(d.aways, result == Away)
	h := d.h
	o := Outcome{
		Result:       result,
		Handling:     eventmodels.GetErrorHandling(a.err),
		RetryAfter:   noRetryAfter,
		OnFailure:    h.OnFailure,
		NoRetry:      h.NoRetry,
		Conflicts:    d.conflicts,
		Aways:        d.aways,
		Remaining:    d.deadline.Sub(a.ended),
		Backoff:      h.Backoff.Delay(d.attempt, rand.Float64()),
		AwayWait:     h.Backoff.Delay(d.aways, rand.Float64()),
		ConflictWait: e.cfg.Limits.Conflict.Delay(d.conflicts, rand.Float64()),
		LeastBackoff: h.Backoff.Min,
	}
	if wait, ok := eventmodels.GetRetryAfter(a.err); ok {
		o.RetryAfter = wait
	}
	return decide(o)
}

func inARow(n int, again bool) int {
	if again {
		return n + 1
	}
	return 0
}
