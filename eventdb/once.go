package eventdb

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/seed46dd6f11/events/eventmodels"
)

// errMarkBusy says that another transaction with one of the marks has not
// ended within Settings.MarkWait.
var errMarkBusy = errors.New("another delivery of the same event is still running")

// errNothingFresh ends a transaction in which all marks were there already.
var errNothingFresh = errors.New("all events have been processed before")

// TransactOnce implements [eventmodels.AbstractDB].
func (c *Connection[ID, TX, DB]) TransactOnce(ctx context.Context, marks []eventmodels.Mark, fn func(tx TX, fresh []bool) error) error {
	sorted := slices.Clone(marks)
	slices.SortFunc(sorted, compareMarks)
	trips := &RoundTrips{marks: slices.Compact(sorted), wait: c.settings.MarkWait}
	err := c.transact(ctx, trips, c.dialect.OnceOptions(), func(tx TX) error {
		if !trips.inserted || !trips.live() {
			err := trips.InsertMarks(ctx, func(ctx context.Context, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
				return c.dialect.InsertMarks(ctx, tx, marks)
			})
			if err != nil {
				return err
			}
		}
		if len(trips.fresh) == 0 {
			// The events are acknowledged for what another delivery has done: a
			// crash must not take that back.
			if d, ok := c.dialect.(Outlaster); ok {
				return d.Outlast(ctx, tx)
			}
			return errNothingFresh
		}
		return fn(tx, freshOf(marks, trips.fresh))
	})
	if errors.Is(err, errNothingFresh) {
		return nil
	}
	return err
}

func compareMarks(a, b eventmodels.Mark) int { return bytes.Compare(a[:], b[:]) }

// freshOf says for each of marks whether it is among inserted; of equal ones
// only the first is.
func freshOf(marks, inserted []eventmodels.Mark) []bool {
	left := make(map[eventmodels.Mark]struct{}, len(inserted))
	for _, m := range inserted {
		left[m] = struct{}{}
	}
	fresh := make([]bool, len(marks))
	for i, m := range marks {
		if _, ok := left[m]; ok {
			fresh[i] = true
			delete(left, m)
		}
	}
	return fresh
}
