package events

import (
	"context"
	"errors"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// readers are what a notifier submits events to: each is consumed when the test
// says so.
type readers struct{ got []chan struct{} }

func (r *readers) submit(eventmodels.Event[int]) <-chan struct{} {
	c := make(chan struct{})
	r.got = append(r.got, c)
	return c
}

// How many events a notifier hands out before its readers have consumed one.
func TestNotifyBound(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name        string
		outstanding int
		free        int // so many are not waited for
	}{{"synchronous", 0, 0}, {"two", 2, 2}, {"any number", -1, 100}} {
		var r readers
		handle := notify(test.outstanding, r.submit)
		for n := range test.free {
			if err := handle(t.Context(), eventmodels.Event[int]{}); err != nil {
				t.Fatalf("%s: event %d: %v", test.name, n, err)
			}
		}
		if test.outstanding == 2 {
			// There is no place for a third: its readers do not get it, so it may be
			// tried again. There is one when the first event is consumed.
			err := handle(over, eventmodels.Event[int]{})
			if !errors.Is(err, context.Canceled) || eventmodels.GetErrorHandling(err) != eventmodels.RetryUntilTimeout || len(r.got) != 2 {
				t.Errorf("%s: an event too many: %v, and %d were submitted", test.name, err, len(r.got))
			}
			close(r.got[0])
			if err := handle(t.Context(), eventmodels.Event[int]{}); err != nil || len(r.got) != 3 {
				t.Errorf("%s: when one is consumed: %v, and %d were submitted", test.name, err, len(r.got))
			}
			r.got = r.got[1:]
		}
		if test.outstanding == 0 {
			// Its readers have it: they are not to get it again.
			err := handle(over, eventmodels.Event[int]{})
			if !errors.Is(err, context.Canceled) || eventmodels.GetErrorHandling(err) != eventmodels.DoNotRetry || len(r.got) != 1 {
				t.Errorf("%s: not consumed in time: %v, and %d were submitted", test.name, err, len(r.got))
			}
			consumed := make(chan struct{})
			close(consumed)
			at := notify(0, func(eventmodels.Event[int]) <-chan struct{} { return consumed })
			if err := at(t.Context(), eventmodels.Event[int]{}); err != nil {
				t.Errorf("%s: consumed: %v", test.name, err)
			}
		}
		for _, c := range r.got {
			close(c)
		}
	}
}
