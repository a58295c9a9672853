//go:build synctests

package sqlitetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/eventtest"
	"github.com/seed46dd6f11/events/eventtest/sqlitetest"
)

// A letter that waits keeps the service from being quiet, and its pause takes
// no time in a bubble.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := eventsqlite.NewLibrary()
		shop := newShop(lib, eventmodels.OnFailureRetryLater)
		s, db := sqlitetest.Start(t, lib)
		s.FailNth("invoice", 1, eventmodels.SetErrorHandling(errors.New("the books are closed"), eventmodels.DoNotRetry))
		place(t, db, "a", 1)
		s.Advance(30 * time.Second)
		if n := len(shop.invoices); n != 0 {
			t.Fatalf("after 30 s the letter has been tried again %d times, before its first pause of a minute is over", n)
		}
		began := time.Now()
		eventtest.Produced(s, invoiced).Expect(1)
		if took := time.Since(began); took < 10*time.Second {
			t.Errorf("the service was quiet after %v, while the letter waited", took)
		}
	})
}

// A handler that fails for ever is said, with its partition, when patience
// ends.
func TestNeverQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := fails(t, func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			lib.ConsumeIdempotent(billing, eventmodels.OnFailureBlock, "mail", placed.Handler(
				func(context.Context, eventmodels.Event[order]) error { return errors.New("no server") }))
			s, db := sqlitetest.Start(t, lib)
			place(t, db, "a", 1)
			s.WaitQuiet()
		})
		for _, want := range []string{"not quiet after 10m0s", "group billing: orders.placed/", "is done up to offset 0 of 1", "handler mail: 0 running, 0 queued, 1 wait to be tried again", "is blocked since", "no server"} {
			if !strings.Contains(said, want) {
				t.Errorf("%q is missing in:\n%s", want, said)
			}
		}
	})
}
