package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventtest"
)

type payment struct{ Cents int }

var (
	received = eventmodels.BindTopic[payment]("payments.received")
	thanked  = eventmodels.BindTopic[payment]("payments.thanked")
)

// newService is the service's own code: it thanks for payments.
func newService() *eventnodb.Library {
	lib := eventnodb.New()
	lib.ConsumeIdempotent(events.NewConsumerGroup("thanks"), eventmodels.OnFailureRetryLater, "thank", received.Handler(
		func(ctx context.Context, e eventmodels.Event[payment]) error {
			return lib.Produce(ctx, eventmodels.ProduceImmediate, thanked.Event(e.Key, e.Payload))
		}))
	return lib
}

// A test of a service without database; sqlitetest.Start has one.
func ExampleStart() {
	_ = func(t *testing.T) { // TestThanks
		lib := newService()
		s := eventtest.Start(t, lib.Library, nil)
		for n := range 3 {
			if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, received.Event("zoe", payment{Cents: 100 * n})); err != nil {
				t.Fatal(err)
			}
		}
		eventtest.Produced(s, thanked).Await(1) // as soon as one is there
		s.WaitQuiet()                           // all of it has happened
		eventtest.Produced(s, thanked).WithKey("zoe").Where("of 100 and more", func(e eventmodels.Event[payment]) bool {
			return e.Payload.Cents >= 100
		}).Expect(2)
	}
}

// A dead letter waits a minute. In a bubble the test does not.
func ExampleService_Advance() {
	_ = func(t *testing.T) { // TestThanksLater, with go test -tags synctests
		synctest.Test(t, func(t *testing.T) {
			lib := newService()
			s := eventtest.Start(t, lib.Library, nil)
			s.FailNth("thank", 1, eventmodels.SetErrorHandling(errors.New("no paper"), eventmodels.DoNotRetry))
			s.RedeliverNth("thank", 2) // the consumers of thanks must cope with two
			if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, received.Event("zoe", payment{})); err != nil {
				t.Fatal(err)
			}
			s.Advance(10 * time.Second)
			fmt.Println("thanks after 10 s:", len(eventtest.Produced(s, thanked).Await(0)))
			s.Advance(5 * time.Minute)
			eventtest.Produced(s, thanked).Expect(2)
		})
	}
}
