package deadletter

import (
	"context"
	"errors"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
)

// Reason is why an event has failed, in one of a few words: a label of metrics.
// [Cause] says more.
type Reason string

// The reasons.
const (
	ReasonPanic      Reason = "panic"
	ReasonDecode     Reason = "decode"
	ReasonDoNotRetry Reason = "do-not-retry" // the error asks for it
	ReasonTimeout    Reason = "timeout"
	ReasonError      Reason = "error" // every other
)

// Reasons are all of them.
var Reasons = []Reason{ReasonPanic, ReasonDecode, ReasonDoNotRetry, ReasonTimeout, ReasonError}

// ReasonOf returns the reason of a final failure: the first of [Reasons] that
// fits. An error that a handler marks with DoNotRetry after a timeout of its
// own was its decision.
func ReasonOf(err error) Reason {
	var panicked *delivery.PanicError
	switch {
	case errors.As(err, &panicked):
		return ReasonPanic
	case errors.Is(err, eventmodels.ErrDecode):
		return ReasonDecode
	case eventmodels.GetErrorHandling(err) == eventmodels.DoNotRetry:
		return ReasonDoNotRetry
	case errors.Is(err, eventmodels.TimeoutErr), errors.Is(err, context.DeadlineExceeded):
		return ReasonTimeout
	}
	return ReasonError
}
