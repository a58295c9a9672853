package delivery

import (
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// maxConflicts is how many serialization failures or deadlocks in a row are
// nobody's fault, and maxAways how many times in a row an error is believed
// that says that a server is away, although the library's own answer when they
// are asked: it may be a server that only the handler knows. More of them count
// as attempts.
const (
	maxConflicts = 10
	maxAways     = 10
)

// Result is how an attempt ended.
type Result int

const (
	// Succeeded: the handler has returned nil, or had done the event before.
	Succeeded Result = iota
	// Failed is the fault of the event or its handler.
	Failed
	// Away: a server does not answer or has no resources.
	Away
	// Conflict: a serialization failure, a deadlock, a bounded wait for a
	// lock.
	Conflict
	// Undone: nothing is wrong with the event, but its run has done nothing,
	// because of other events of its batch or since another partition of the
	// batch was revoked.
	Undone
)

// String returns the constant's name.
func (r Result) String() string {
	switch r {
	case Succeeded:
		return "Succeeded"
	case Failed:
		return "Failed"
	case Away:
		return "Away"
	case Conflict:
		return "Conflict"
	case Undone:
		return "Undone"
	}
	return fmt.Sprintf("Result(%d)", int(r))
}

// noRetryAfter is the Outcome.RetryAfter of an error that does not say.
const noRetryAfter = time.Duration(-1)

// Outcome is everything that a verdict depends on.
type Outcome struct {
	Result   Result
	Handling eventmodels.ErrorHandling
	// RetryAfter is what the handler's error says of the next attempt,
	// noRetryAfter if nothing.
	RetryAfter time.Duration

	OnFailure eventmodels.OnFailure
	NoRetry   bool

	// Together: several events were run and the error does not say which of
	// them is to blame. Repeated: they were run once more since then.
	Together, Repeated bool

	// Conflicts and Aways in a row, this one included.
	Conflicts, Aways int
	// Remaining is how much of the handler's timeout is left.
	Remaining time.Duration

	// Backoff, AwayWait and ConflictWait are the waits before the next
	// attempt, after a failure of each kind.
	Backoff, AwayWait, ConflictWait time.Duration
	// LeastBackoff is the shortest wait before a retry that makes sense.
	LeastBackoff time.Duration
}

// VerdictKind is what is done with a delivery.
type VerdictKind int

const (
	// Ack: the handler is done with the event.
	Ack VerdictKind = iota + 1
	// RetryAfter: it is tried again after Wait.
	RetryAfter
	// DeadLetter: it is written to the dead-letter topic, and done then.
	DeadLetter
	// Drop: it is done without success.
	Drop
	// Block: its partition holds. It is tried again after Wait, or never.
	Block
	// Send: it has succeeded, and is done when the sink has written what Run
	// has handed over.
	Send
	// Postpone: it has not been tried, but waits for Wait.
	Postpone
	// Repeat: the batch is tried once more as it is after Wait.
	Repeat
	// Halve: the batch is tried in halves, at once.
	Halve
)

// String returns the constant's name.
func (k VerdictKind) String() string {
	switch k {
	case Ack:
		return "Ack"
	case RetryAfter:
		return "RetryAfter"
	case DeadLetter:
		return "DeadLetter"
	case Drop:
		return "Drop"
	case Block:
		return "Block"
	case Send:
		return "Send"
	case Postpone:
		return "Postpone"
	case Repeat:
		return "Repeat"
	case Halve:
		return "Halve"
	}
	return fmt.Sprintf("VerdictKind(%d)", int(k))
}

// never is the Wait of a Block without further attempts.
const never = time.Duration(-1)

// Verdict is what is done with a delivery after an attempt.
type Verdict struct {
	Kind VerdictKind
	// Wait before the next attempt, of RetryAfter, Block, Postpone and Repeat.
	Wait time.Duration
	// Uncounted: the attempt is not counted, and the time that it took is
	// given back.
	Uncounted bool
	// Hold: the partition waits until the servers answer.
	Hold bool
}

// Final reports whether the verdict gives an event up. Before that the
// servers' health is asked.
func (v Verdict) Final() bool {
	return v.Kind == Drop || v.Kind == DeadLetter || v.Kind == Block && v.Wait == never
}

// toSink reports whether something is written before the delivery is done.
func (v Verdict) toSink() bool { return v.Kind == DeadLetter || v.Kind == Send }

// decide is the one place that says what becomes of a delivery:
//
//	success, or an error that is to be ignored         Ack
//	undone, not by its own fault                       RetryAfter, at once and uncounted
//	a server is away, one of the first ten in a row    RetryAfter, uncounted; the partition holds
//	a conflict, one of the first ten in a row          RetryAfter, soon and uncounted
//	any other failure of a batch, uncounted
//	    that was repeated or is not to be              Halve
//	    that is to be tried again beyond the deadline  Halve
//	    for the first time                             Repeat, after the wait
//	any other failure of an event
//	    that is not to be tried again                  what OnFailure says
//	    OnFailureBlock                                 Block, again after the wait
//	    with time left for the wait                    RetryAfter
//	    without                                        what OnFailure says
//
// That a server is away outranks what the error says of retrying: it is not
// the event's fault, however the handler wraps it.
//
// The backoff that would end behind the deadline is cut to half of the time
// that remains, so that the timeout is used and not only the part of it that
// the schedule happens to fill; a wait that the handler asked for is not cut.
func decide(o Outcome) Verdict {
	switch {
	case o.Result == Succeeded || o.Handling == eventmodels.IgnoreError:
		return Verdict{Kind: Ack}
	case o.Result == Undone:
		return Verdict{Kind: RetryAfter, Uncounted: true}
	case o.Result == Away && o.Aways <= maxAways:
		return Verdict{Kind: RetryAfter, Wait: o.AwayWait, Uncounted: true, Hold: true}
	case o.Result == Conflict && o.Conflicts <= maxConflicts:
		return Verdict{Kind: RetryAfter, Wait: o.ConflictWait, Uncounted: true}
	}
	last := o.NoRetry || o.Handling == eventmodels.DoNotRetry
	wait, asked := o.Backoff, o.RetryAfter != noRetryAfter
	if asked {
		wait = o.RetryAfter
	}
	switch {
	case o.Together:
		beyond := asked && wait >= o.Remaining && o.OnFailure != eventmodels.OnFailureBlock
		if last || o.Repeated || beyond {
			return Verdict{Kind: Halve, Uncounted: true}
		}
		return Verdict{Kind: Repeat, Wait: wait, Uncounted: true}
	case last:
		return giveUp(o.OnFailure)
	case o.OnFailure == eventmodels.OnFailureBlock:
		return Verdict{Kind: Block, Wait: wait}
	case wait < o.Remaining:
		return Verdict{Kind: RetryAfter, Wait: wait}
	case !asked && o.Remaining/2 > 0 && o.Remaining/2 >= o.LeastBackoff:
		return Verdict{Kind: RetryAfter, Wait: o.Remaining / 2}
	}
	return giveUp(o.OnFailure)
}

func giveUp(f eventmodels.OnFailure) Verdict {
	switch f {
	case eventmodels.OnFailureDiscard:
		return Verdict{Kind: Drop}
	case eventmodels.OnFailureRetryLater, eventmodels.OnFailureSave:
		return Verdict{Kind: DeadLetter}
	}
	return Verdict{Kind: Block, Wait: never} // nothing is lost by it
}
