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
	if len(b.Errors) == 0 {
		return "no event of the batch failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(b.Errors)))
	return fmt.Sprintf("%d events of the batch failed, the first at position %d: %v", len(b.Errors), first, b.Errors[first])
}

// Unwrap gives errors.Is and errors.As the single errors, by position.
func (b *BatchError) Unwrap() []error {
	all := make([]error, 0, len(b.Errors))
	for _, position := range slices.Sorted(maps.Keys(b.Errors)) {
		all = append(all, b.Errors[position])
	}
	return all
}

// join adds what a handler said of the events that it got; positions
// translates its positions. An error that is not a BatchError concerns all.
func (b *BatchError) join(err error, positions []int) error {
	if err == nil {
		return b
	}
	var of *BatchError
	if !errors.As(err, &of) {
		for _, position := range positions {
			b.Fail(position, err)
		}
		return b
	}
	for i, e := range of.Errors {
		if i >= 0 && i < len(positions) {
			b.Fail(positions[i], e)
		}
	}
	return b
}
