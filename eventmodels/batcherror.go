package eventmodels

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// BatchError is the error of a batch handler that says which of its events
// failed. The others have succeeded (exactly-once: the transaction is rolled
// back, and the others run again without the failed ones).
//
//	var failed eventmodels.BatchError
//	for i, e := range batch {
//		if err := send(e); err != nil {
//			failed.Fail(i, err)
//		}
//	}
//	return failed.Err()
type BatchError struct {
	// Errors holds the error of each failed event by its position in the
	// batch.
	Errors map[int]error
}

// Fail says that the event at position has failed with err. A nil err is
// ignored.
func (b *BatchError) Fail(position int, err error) {
	if err == nil {
		return
	}
	if b.Errors == nil {
		b.Errors = make(map[int]error)
	}
	b.Errors[position] = err
}

// Err returns b if an event has failed, else nil.
func (b *BatchError) Err() error {
	if b == nil || len(b.Errors) == 0 {
		return nil
	}
	return b
}

// Error names how many failed and the first of them.
func (b *BatchError) Error() string {
	if b == nil || len(b.Errors) == 0 {
		return "no event of the batch failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(b.Errors)))
	return fmt.Sprintf("%d events of the batch failed, the first at position %d: %v", len(b.Errors), first, b.Errors[first])
}

// Unwrap gives errors.Is and errors.As the single errors, by position.
func (b *BatchError) Unwrap() []error {
	if b == nil {
		return nil
	}
	all := make([]error, 0, len(b.Errors))
	for _, position := range slices.Sorted(maps.Keys(b.Errors)) {
		all = append(all, b.Errors[position])
	}
	return all
}

// SplitBatchError says what the error of a batch handler means for each of the
// n events that it got. If err is a [*BatchError], failed has the errors of
// those that failed by position; the others have succeeded, and all is nil.
// Otherwise all is an error that concerns every event, nil if err is nil.
// A BatchError without errors is no error.
//
// What [SetErrorHandling] or [RetryAfter] say around a BatchError holds for
// each event that failed. A BatchError with a position below 0 or from n on is
// a plain error, and so is one that was joined with other errors: they may
// concern any event. Nothing that it says of single events counts then.
func SplitBatchError(err error, n int) (failed map[int]error, all error) {
	var handled *handledError
	var after *retryAfterError
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		switch e := inner.(type) {
		case *handledError:
			if handled == nil {
				handled = e
			}
		case *retryAfterError:
			if after == nil {
				after = e
			}
		case *BatchError:
			if e == nil {
				return nil, nil
			}
			failed = make(map[int]error, len(e.Errors))
			for position, one := range e.Errors {
				if position < 0 || position >= n {
					return nil, fmt.Errorf("position %d is not in the batch of %d events: %v", position, n, err)
				}
				if one == nil {
					continue
				}
				if handled != nil {
					one = SetErrorHandling(one, handled.handling)
				}
				if after != nil {
					one = RetryAfter(one, after.after)
				}
				failed[position] = one
			}
			return failed, nil
		}
	}
	if of := (*BatchError)(nil); errors.As(err, &of) {
		return nil, errors.New(err.Error())
	}
	return nil, err
}

// join adds what a handler said of the events that it got; positions
// translates its positions. An error that concerns several of them stays as it
// is: the events that could not be decoded are found again when the batch is
// divided.
func (b *BatchError) join(err error, positions []int) error {
	failed, all := SplitBatchError(err, len(positions))
	switch {
	case all == nil:
	case errors.Is(all, ErrAlreadyProcessed), GetErrorHandling(all) == IgnoreError:
		// They are done; those that the handler did not get are not.
	case len(positions) == 1:
		b.Fail(positions[0], all)
	default:
		return all
	}
	for i, e := range failed {
		b.Fail(positions[i], e)
	}
	return b
}
