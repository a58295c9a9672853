package eventmodels

import (
	"errors"
	"fmt"
	"time"
)

// OnFailure says what becomes of an event whose handler has failed for good:
// its retries have used up the handler's timeout, or its error said that
// there is no point in trying again.
type OnFailure int

const (
	// OnFailureDiscard drops the event: it is logged, counted and
	// acknowledged.
	OnFailureDiscard OnFailure = iota + 1
	// OnFailureBlock never gives up: the event is tried again until it
	// succeeds, and its partition holds. Nothing is lost and nothing piles
	// up, but everything behind it waits.
	OnFailureBlock
	// OnFailureRetryLater writes the event to the dead-letter topic, from
	// where it is tried again with growing pauses.
	OnFailureRetryLater
	// OnFailureSave writes the event to the dead-letter topic, where it
	// stays until somebody asks for a replay.
	OnFailureSave
)

// String returns the constant's name without its prefix.
func (f OnFailure) String() string {
	switch f {
	case OnFailureDiscard:
		return "Discard"
	case OnFailureBlock:
		return "Block"
	case OnFailureRetryLater:
		return "RetryLater"
	case OnFailureSave:
		return "Save"
	}
	return fmt.Sprintf("OnFailure(%d)", int(f))
}

// ErrorHandling says what is done with an event whose handler returned a
// certain error; see [SetErrorHandling].
type ErrorHandling int

const (
	// RetryUntilTimeout tries again, with backoff, until the handler's
	// timeout is used up. It is what happens with errors that say nothing
	// else.
	RetryUntilTimeout ErrorHandling = iota
	// DoNotRetry goes to what OnFailure says at once.
	DoNotRetry
	// IgnoreError takes the event for done.
	IgnoreError
)

// String returns the constant's name.
func (h ErrorHandling) String() string {
	switch h {
	case RetryUntilTimeout:
		return "RetryUntilTimeout"
	case DoNotRetry:
		return "DoNotRetry"
	case IgnoreError:
		return "IgnoreError"
	}
	return fmt.Sprintf("ErrorHandling(%d)", int(h))
}

type handledError struct {
	error
	handling ErrorHandling
}

func (e *handledError) Unwrap() error { return e.error }

// SetErrorHandling wraps err, so that the library does what handling says
// when a handler returns it. The outermost wrapping decides. A nil err stays
// nil.
func SetErrorHandling(err error, handling ErrorHandling) error {
	if err == nil {
		return nil
	}
	return &handledError{error: err, handling: handling}
}

// GetErrorHandling returns what [SetErrorHandling] said of err or of an error
// that it wraps. Without that it is RetryUntilTimeout, but DoNotRetry for
// [ErrDecode].
func GetErrorHandling(err error) ErrorHandling {
	var handled *handledError
	if errors.As(err, &handled) {
		return handled.handling
	}
	if errors.Is(err, ErrDecode) {
		return DoNotRetry
	}
	return RetryUntilTimeout
}

type retryAfterError struct {
	error
	after time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// RetryAfter wraps err, so that the event is tried again after d instead of
// after the usual backoff. If the handler's timeout ends sooner, the event
// has failed for good at once. A nil err stays nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{error: err, after: max(d, 0)}
}

// GetRetryAfter returns what [RetryAfter] said of err or of an error that it
// wraps.
func GetRetryAfter(err error) (d time.Duration, ok bool) {
	var after *retryAfterError
	if errors.As(err, &after) {
		return after.after, true
	}
	return 0, false
}
