package eventdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// RoundTrips saves a transaction round trips to the database: what the library
// has to say at its beginning and at its end travels with BEGIN and with
// COMMIT. A [Connection] puts one into the context that it begins a transaction
// with, and a driver that can send several statements at once takes it out with
// [RoundTripsOf]. Where no driver does, the statements go one by one.
//
// The driver's side of the contract: it begins the transaction and, if there
// are marks, inserts them with [RoundTrips.InsertMarks] in the same round trip;
// and it sets Carry.
type RoundTrips struct {
	// Carry makes COMMIT insert rows into the outbox first; if they are
	// refused nothing is committed, and the error of COMMIT is theirs. It is
	// called at most once, with at least one row, when the transaction has
	// nothing else to do. It returns false if these rows cannot go along, and
	// an error if the transaction is not in a state to be committed.
	Carry func(scope string, rows []eventmodels.OutboxRow) (bool, error)

	marks    []eventmodels.Mark // ascending and distinct; none of a transaction without
	wait     time.Duration      // for marks
	taken    atomic.Bool        // a driver has found it
	inserted bool               // by InsertMarks
	fresh    []eventmodels.Mark // of those that were inserted
}

type roundTripsKey struct{}

// RoundTripsOf returns what ctx was given for the transaction that is about to
// be begun, or nil. It belongs to whoever asks first: another transaction that
// is begun with the same context is none of the library's.
func RoundTripsOf(ctx context.Context) *RoundTrips {
	r, _ := ctx.Value(roundTripsKey{}).(*RoundTrips)
	if r == nil || r.taken.Swap(true) {
		return nil
	}
	return r
}

// HasMarks says whether there are marks to be inserted.
func (r *RoundTrips) HasMarks() bool { return len(r.marks) > 0 }

// InsertMarks calls insert with the marks and with a context that bounds the
// wait for other transactions; insert returns those that are new. An error of
// insert is the result, with what was tried, and the transaction must not be
// used.
func (r *RoundTrips) InsertMarks(ctx context.Context, insert func(context.Context, []eventmodels.Mark) ([]eventmodels.Mark, error)) error {
	waiting, cancel := context.WithTimeoutCause(ctx, r.wait, errMarkBusy)
	defer cancel()
	fresh, err := insert(waiting, r.marks)
	if err == nil {
		r.inserted, r.fresh = true, fresh
		return nil
	}
	if ctx.Err() == nil && context.Cause(waiting) == errMarkBusy {
		err = errors.Join(errMarkBusy, err)
	}
	return fmt.Errorf("insert %d marks: %w", len(r.marks), err)
}
