package sqlitetest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/eventtest"
	"github.com/seed46dd6f11/events/eventtest/sqlitetest"
)

type order struct{ Cents int }

var (
	billing  = events.NewConsumerGroup("billing")
	placed   = eventsqlite.BindTopic[order]("orders.placed")
	invoiced = eventsqlite.BindTopic[order]("orders.invoiced")
)

// shop counts what its handlers are called for.
type shop struct{ invoices, mails, cached chan string }

// newShop registers a service's handlers: an invoice is written and announced,
// a mail sent, a cache told.
func newShop(lib *eventsqlite.Library, onFailure eventmodels.OnFailure) *shop {
	s := &shop{make(chan string, 100), make(chan string, 100), make(chan string, 100)}
	lib.ConsumeExactlyOnce(billing, onFailure, "invoice", placed.HandlerTx(
		func(_ context.Context, tx *eventsqlite.Tx, e eventmodels.Event[order]) error {
			s.invoices <- e.Key
			tx.Produce(invoiced.Event(e.Key, e.Payload))
			return nil
		}), events.WithBackoff(time.Millisecond, time.Second))
	lib.ConsumeIdempotent(billing, eventmodels.OnFailureBlock, "mail", invoiced.Handler(
		func(_ context.Context, e eventmodels.Event[order]) error {
			s.mails <- e.Key
			return nil
		}), events.WithBackoff(time.Millisecond, time.Second))
	lib.ConsumeBroadcast("cache", invoiced.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
		s.cached <- e.Key
		return nil
	}))
	return s
}

func place(t testing.TB, db *eventsqlite.DB, key string, cents int) {
	t.Helper()
	if err := db.Transact(t.Context(), func(tx *eventsqlite.Tx) error {
		tx.Produce(placed.Event(key, order{cents}))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// When the service is quiet, what an event leads to has happened, all the way.
func TestWaitQuiet(t *testing.T) {
	lib := eventsqlite.NewLibrary()
	shop := newShop(lib, eventmodels.OnFailureBlock)
	s, db := sqlitetest.Start(t, lib)
	s.WaitQuiet() // with nothing done yet
	for round := range 10 {
		for n := range 5 {
			place(t, db, fmt.Sprintf("order-%d", n), n)
		}
		s.WaitQuiet()
		if got, want := []int{len(shop.invoices), len(shop.mails), len(shop.cached)}, 5*(round+1); got[0] != want || got[1] != want || got[2] != want {
			t.Fatalf("in round %d there were %v invoices, mails and caches told, not %d each", round, got, want)
		}
		status, err := lib.OutboxStatus(t.Context())
		if err != nil || status.Rows != 0 {
			t.Fatalf("outbox: %v, %v", status, err)
		}
	}
}

func TestProduced(t *testing.T) {
	lib := eventsqlite.NewLibrary()
	newShop(lib, eventmodels.OnFailureBlock)
	s, db := sqlitetest.Start(t, lib)
	eventtest.Produced(s, placed).Expect(0)
	for n := range 3 {
		place(t, db, "a", 10*n)
		place(t, db, "b", 10*n)
	}
	eventtest.Produced(s, invoiced).Await(1)
	got := eventtest.Produced(s, placed).WithKey("b").Where("of 10 or more", func(e eventmodels.Event[order]) bool { return e.Payload.Cents >= 10 }).Expect(2)
	if got[0].Payload.Cents != 10 || got[1].Payload.Cents != 20 || got[0].Topic != "orders.placed" || got[0].ID == "" {
		t.Errorf("got %+v", got)
	}
	eventtest.Produced(s, invoiced.BoundTopic).Expect(6)
	if n := len(eventtest.Produced(s, eventmodels.BindTopic[order]("never")).Expect(0)); n != 0 {
		t.Error(n)
	}
}

func TestFailNth(t *testing.T) {
	lib := eventsqlite.NewLibrary()
	shop := newShop(lib, eventmodels.OnFailureBlock)
	s, db := sqlitetest.Start(t, lib)
	s.FailNth("invoice", 1, errors.New("the books are closed"))
	s.FailNth("invoice", 2, errors.New("still"))
	place(t, db, "a", 1)
	eventtest.Produced(s, invoiced).Expect(1)
	if n := len(shop.invoices); n != 1 {
		t.Errorf("the handler was called %d times, not once after two failures", n)
	}
}

func TestRedeliverNth(t *testing.T) {
	lib := eventsqlite.NewLibrary()
	shop := newShop(lib, eventmodels.OnFailureBlock)
	s, db := sqlitetest.Start(t, lib)
	s.RedeliverNth("invoice", 1)
	s.RedeliverNth("mail", 1)
	place(t, db, "a", 1)
	s.WaitQuiet()
	if n := len(shop.invoices); n != 1 {
		t.Errorf("the exactly-once handler was called %d times for an event that came twice", n)
	}
	if n := len(shop.mails); n != 2 {
		t.Errorf("the idempotent handler was called %d times for an event that came twice", n)
	}
}

// Each helper fails when it should, and says what is wrong.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(t testing.TB)
		want []string
	}{
		"too few": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			newShop(lib, eventmodels.OnFailureBlock)
			s, db := sqlitetest.Start(t, lib)
			place(t, db, "a", 7)
			place(t, db, "b", 8)
			eventtest.Produced(s, placed).WithKey("a").Where("dear", func(e eventmodels.Event[order]) bool { return e.Payload.Cents > 0 }).Expect(2)
		}, []string{`orders.placed has 1 events with key "a" dear, not 2`, "these:\n\t\"a\" at ", `{"Cents":7}`, "beside these:\n\t\"b\" at ", `{"Cents":8}`}},
		"too many": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			s, db := sqlitetest.Start(t, lib)
			for n := range 25 {
				place(t, db, "a", n)
			}
			eventtest.Produced(s, placed).Expect(0)
		}, []string{"has 25 events, not 0", "... and 5 more"}},
		"another type": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			s, db := sqlitetest.Start(t, lib)
			place(t, db, "a", 1)
			eventtest.Produced(s, eventmodels.BindTopic[[]string]("orders.placed")).Expect(1)
		}, []string{"has 0 events, not 1", "beside these:\n\ta at ", "cannot be decoded"}},
		"fault that does not happen": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			newShop(lib, eventmodels.OnFailureBlock)
			s, db := sqlitetest.Start(t, lib)
			s.FailNth("invoice", 2, errors.New("no"))
			s.RedeliverNth("mail", 3)
			place(t, db, "a", 1)
			s.WaitQuiet()
		}, []string{`FailNth("invoice", 2) has not happened: the handler was called once`, `RedeliverNth("mail", 3) has not happened: the handler was called once`}},
		"no such handler": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			newShop(lib, eventmodels.OnFailureBlock)
			s, _ := sqlitetest.Start(t, lib)
			s.FailNth("invoise", 1, errors.New("no"))
		}, []string{"no handler has this name"}},
		"no error": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			newShop(lib, eventmodels.OnFailureBlock)
			s, _ := sqlitetest.Start(t, lib)
			s.FailNth("invoice", 1, nil)
		}, []string{"an error is needed"}},
		"counts from 0": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			newShop(lib, eventmodels.OnFailureBlock)
			s, _ := sqlitetest.Start(t, lib)
			s.RedeliverNth("invoice", 0)
		}, []string{"counted from 1"}},
		"configured": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			lib.Configure(nil, nil, false, nil, nil, []string{"127.0.0.1:1"})
			sqlitetest.Start(t, lib)
		}, []string{"is configured already"}},
		"real time": {func(t testing.TB) {
			lib := eventsqlite.NewLibrary()
			s, _ := sqlitetest.Start(t, lib)
			s.Advance(time.Second)
		}, []string{"Advance is for virtual time"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := fails(t, test.do)
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is missing in:\n%s", want, said)
				}
			}
		})
	}
}

// fails runs a test that is to fail, and returns what it says.
func fails(t *testing.T, do func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do(f)
	}()
	<-ended
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
	if !f.failed {
		t.Fatal("the test has not failed")
	}
	return f.said.String()
}

// failing is a test whose failures are wanted.
type failing struct {
	testing.TB
	said     strings.Builder
	failed   bool
	cleanups []func()
}

func (f *failing) Helper()           {}
func (f *failing) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }
func (f *failing) Errorf(format string, args ...any) {
	f.failed = true
	fmt.Fprintf(&f.said, format+"\n", args...)
}
func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}
func (f *failing) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }
