package events_test

import (
	"testing"

	"github.com/seed46dd6f11/events"
)

func TestWithOrderingPanics(t *testing.T) {
	for _, o := range []events.Ordering{0, -1, events.ByPartition + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("WithOrdering(%v) did not panic", o)
				}
			}()
			events.WithOrdering(o)
		}()
	}
	if s := events.ByKey.String() + " " + events.ByPartition.String() + " " + events.Ordering(7).String(); s != "ByKey ByPartition Ordering(7)" {
		t.Error(s)
	}
}
