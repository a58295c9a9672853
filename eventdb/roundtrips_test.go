package eventdb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A transaction that a service begins beside the library's, with the same
// context, gets none of the library's statements.
func TestRoundTripsBelongToOneTransaction(t *testing.T) {
	trips := &RoundTrips{}
	ctx := context.WithValue(t.Context(), roundTripsKey{}, trips)
	if RoundTripsOf(ctx) != trips {
		t.Error("not found")
	}
	if RoundTripsOf(ctx) != nil || RoundTripsOf(t.Context()) != nil {
		t.Error("found where there is none, or twice")
	}
}

// The wait for a busy mark is an error of its own; the end of the caller's
// context, and what the database answers, are not that error.
func TestInsertMarksOfABusyMark(t *testing.T) {
	errAnswer := errors.New("the answer of the database")
	waits := func(ctx context.Context, _ []eventmodels.Mark) ([]eventmodels.Mark, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, c := range map[string]struct {
		limit  time.Duration // of the caller's context
		insert func(context.Context, []eventmodels.Mark) ([]eventmodels.Mark, error)
		busy   bool
		is     error
	}{
		"busy":                    {time.Hour, waits, true, context.DeadlineExceeded},
		"the caller has no time":  {time.Second, waits, false, context.DeadlineExceeded},
		"the database refuses it": {time.Hour, func(context.Context, []eventmodels.Mark) ([]eventmodels.Mark, error) { return nil, errAnswer }, false, errAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				trips := &RoundTrips{marks: []eventmodels.Mark{{1}}, wait: time.Minute}
				err := trips.InsertMarks(ctx, c.insert)
				if errors.Is(err, errMarkBusy) != c.busy || !errors.Is(err, c.is) || trips.inserted {
					t.Errorf("error: %v, inserted: %v", err, trips.inserted)
				}
			})
		})
	}
}
