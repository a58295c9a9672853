package eventdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	sorted = slices.Compact(sorted)
	err := c.transact(ctx, c.dialect.OnceOptions(), func(tx TX) error {
		inserted, err := c.insertMarks(ctx, tx, sorted)
		if err != nil {
			return err
		}
		if len(inserted) == 0 {
			return errNothingFresh
		}
		return fn(tx, freshOf(marks, inserted))
	})
	if errors.Is(err, errNothingFresh) {
		return nil
	}
	return err
}

// insertMarks bounds the wait for another transaction that holds one of the
// marks, so that a delivery whose twin hangs gives its connection back.
func (c *Connection[ID, TX, DB]) insertMarks(ctx context.Context, tx TX, sorted []eventmodels.Mark) ([]eventmodels.Mark, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, c.settings.MarkWait, errMarkBusy)
	defer cancel()
	inserted, err := c.dialect.InsertMarks(waiting, tx, sorted)
	if err == nil {
		return inserted, nil
	}
	if ctx.Err() == nil && context.Cause(waiting) == errMarkBusy {
		err = errors.Join(errMarkBusy, err)
	}
	return nil, fmt.Errorf("insert %d marks: %w", len(sorted), err)
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
