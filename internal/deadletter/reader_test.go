package deadletter

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A letter is done only if its run has done something, or need not.
func TestFailureOfARun(t *testing.T) {
	plain := errors.New("plain")
	named, elsewhere := new(eventmodels.BatchError), new(eventmodels.BatchError)
	named.Fail(0, plain)
	elsewhere.Fail(3, plain)
	for _, test := range []struct {
		name         string
		err          error
		fails, whole bool // whole: if a run with an error has done nothing
	}{
		{"success", nil, false, false},
		{"plain", plain, true, true},
		{"named", fmt.Errorf("batch: %w", named), true, true},
		{"names none", new(eventmodels.BatchError), false, true},
		{"names none, wrapped", fmt.Errorf("batch: %w", new(eventmodels.BatchError)), false, true},
		{"names another", elsewhere, true, true},
		{"ignored", eventmodels.SetErrorHandling(plain, eventmodels.IgnoreError), false, false},
		{"ignored and named", eventmodels.SetErrorHandling(named, eventmodels.IgnoreError), false, false},
		{"done before", fmt.Errorf("mark: %w", eventmodels.ErrAlreadyProcessed), false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := new(Handler).failure(test.err); (got != nil) != test.fails {
				t.Errorf("%v", got)
			}
			got := (&Handler{Atomic: true}).failure(test.err)
			if (got != nil) != test.whole {
				t.Errorf("all or nothing: %v", got)
			}
			if failed, all := eventmodels.SplitBatchError(got, 1); got != nil && all == nil && failed[0] == nil {
				t.Errorf("all or nothing: %v is none for the engine", got)
			}
		})
	}
}
