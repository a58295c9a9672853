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
// it sets Carry; it calls Committing before it sends COMMIT, and Ended when it
// rolls back.
//
// A BeginTx of the application's own can begin more than one transaction with
// the context: one that it rolls back, because it could not be set up, before it
// begins another one; or one that has to do with something else. The driver
// cannot know which of them is the library's. So what travels with a
// transaction is worth nothing once that has ended, and the statements go one by
// one; and marks are not committed before BeginTx has returned.
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
	begun    atomic.Bool        // BeginTx has returned
	ended    atomic.Bool        // the driver's transaction has; database/sql may end it on a goroutine of its own
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

// errEarlyCommit refuses a COMMIT.
var errEarlyCommit = errors.New("a transaction that was begun with the context that BeginTx was given for another one is not committed, since it has the other one's marks; begin it with a context of its own")

// Committing says that the transaction is about to be committed. An error is
// the result of COMMIT, and the transaction is to be rolled back: it is not the
// one that the marks are for.
func (r *RoundTrips) Committing() error {
	if r.inserted && !r.begun.Load() {
		return errEarlyCommit
	}
	r.ended.Store(true)
	return nil
}

// Ended says that the transaction was rolled back.
func (r *RoundTrips) Ended() { r.ended.Store(true) }

// live says whether the driver has a transaction that things travel with.
func (r *RoundTrips) live() bool { return !r.ended.Load() }

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
