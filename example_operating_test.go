package events_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Probes and the state of a process.
func ExampleLibrary_HealthHandler() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	prices := eventsqlite.BindTopic[int]("prices.changed")
	lib := eventsqlite.NewLibrary()
	lib.ConsumeBroadcast("cache", prices.Handler(func(context.Context, eventmodels.Event[int]) error { return nil }))
	fmt.Println("configured:", lib.IsConfigured())
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	started, stopped, err := lib.StartConsuming(ctx)
	must(err)
	select {
	case <-started:
	case <-stopped: // the context has ended meanwhile
	}

	probe := httptest.NewRecorder() // in a service: mux.Handle("/health/", lib.HealthHandler())
	lib.HealthHandler().ServeHTTP(probe, httptest.NewRequest("GET", "/health/ready", nil))
	fmt.Println("ready:", probe.Code)
	fmt.Println("live:", lib.Health(ctx).Live, lib.HasDB(), lib.GetBroadcastConsumerGroupName() != "")
	gap, interval := lib.BroadcastConsumerLastLatency()
	fmt.Println("broadcasts flow:", gap < 3*interval, interval)
	must(lib.Shutdown(ctx))
	// Output:
	// configured: false
	// ready: 200
	// live: true true true
	// broadcasts flow: true 10s
}

// A handler is stopped for a while, for example while what it needs is
// repaired.
func ExampleLibraryNoDB_Pause() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	mailed := make(chan string, 1)
	lib := eventsqlite.NewLibrary()
	lib.ConsumeIdempotent(events.NewConsumerGroup("mailing"), eventmodels.OnFailureBlock, "confirm", placed.Handler(
		func(_ context.Context, e eventmodels.Event[OrderPlaced]) error {
			mailed <- e.Key
			return nil
		}))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)

	must(lib.Pause("confirm"))
	lib.StartConsumingOrPanic(ctx)
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, placed.Event("order-1", OrderPlaced{})))
	fmt.Println("mails while it is paused:", len(mailed))
	must(lib.Resume("confirm"))
	fmt.Println("mail for", <-mailed)
	// Output:
	// mails while it is paused: 0
	// mail for order-1
}

// The outbox, and the events in it that Kafka has refused.
func ExampleLibrary_ParkedEvents() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	lib := eventsqlite.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)

	status, err := lib.OutboxStatus(ctx)
	must(err)
	fmt.Println(status.Rows, "wait,", status.Parked, "are parked")

	var again, never []uuid.UUID
	for parked, err := range lib.ParkedEvents(ctx) {
		must(err)
		if parked.Topic == "orders.placed" { // whose max.message.bytes was raised
			again = append(again, parked.ID)
		} else {
			never = append(never, parked.ID)
		}
	}
	requeued, err := lib.RequeueParked(ctx, again...)
	must(err)
	discarded, err := lib.DiscardParked(ctx, never...)
	must(err)
	fmt.Println(requeued, "requeued,", discarded, "discarded")
	// Output:
	// 0 wait, 0 are parked
	// 0 requeued, 0 discarded
}

// A transaction that the service began itself. Its events are found by the
// relay at the next poll, or at once if it is told of them.
func ExampleLibrary_ProduceFromTable() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	lib := eventsqlite.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)

	tx, err := db.Unwrap().BeginTx(ctx, nil)
	must(err)
	must(eventsqlite.ProduceTx(ctx, lib, tx, placed.Event("order-1", OrderPlaced{Customer: "zoe"})))
	began := time.Now()
	must(tx.Commit())
	err = lib.ProduceFromTable(ctx, nil)
	events.ObserveProduceLatency(err, began)
	must(err)

	records, err := broker.Records("orders.placed")
	must(err)
	fmt.Println(len(records), "in Kafka")
	// Output: 1 in Kafka
}

// A loop of the service's own counts and logs its errors as the library does
// its own, and cannot flood the log.
func ExampleLibraryNoDB_RecordError() {
	lib := eventsqlite.NewLibrary()
	lib.Configure(nil, nil, false, nil, nil, []string{"localhost:9092"})
	poll := func() error { return errors.New("the mail server does not answer") }
	for range 2 {
		if err := lib.RecordError("mail-poll", poll()); err != nil { // it pauses
			continue
		}
	}
	_ = lib.RecordErrorNoWait("mail-poll", poll())
	lib.Tracer().Logf("instance %d has given up", lib.InstanceID())
}

// Setters that were for other implementations do no harm.
func ExampleLibrary_SetBroadcastConsumerMaxLocks() {
	lib := eventsqlite.NewLibrary()
	lib.SetBroadcastConsumerMaxLocks(100)
	lib.DoNotLockBroadcastConsumerNumbers()
}

// What a tool does with letters: it looks at each, and discards, reopens or
// replays it, perhaps with another payload.
func ExampleDeadLetters_Replay() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	billing := events.NewConsumerGroup("billing")
	letters := make(chan string, 10)
	lib := eventsqlite.NewLibrary()
	lib.ConsumeIdempotent(billing, eventmodels.OnFailureSave, "invoice", placed.Handler(
		func(_ context.Context, e eventmodels.Event[OrderPlaced]) error {
			if e.Payload.Customer == "" {
				return eventmodels.SetErrorHandling(errors.New("no customer"), eventmodels.DoNotRetry)
			}
			return nil
		}))
	// Somebody wants to hear of each letter.
	lib.ConsumeIdempotent(events.NewConsumerGroup("watch"), eventmodels.OnFailureBlock, "tell",
		eventmodels.BindTopic[OrderPlaced](events.DeadLetterTopic("orders.placed", billing)).Handler(
			func(_ context.Context, e eventmodels.Event[OrderPlaced]) error {
				letters <- e.Headers["events-letter-error"][0]
				return nil
			}), events.IsDeadLetterHandler(true), events.WithBaseTopic("orders.placed"))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, placed.Event("order-1", OrderPlaced{Cents: 1})))
	fmt.Println("a letter:", <-letters)

	dead := lib.DeadLetters(billing)
	var last events.LetterCursor // of this page of the list, for LetterFilter.After of the next
	for letter, err := range dead.List(ctx, events.LetterFilter{States: events.OpenLetters}) {
		must(err)
		last = letter.Cursor()
		id, err := events.ParseLetterID(letter.ID.String()) // as from a command line
		must(err)
		history, err := dead.Show(ctx, id)
		must(err)
		fmt.Printf("%s failed with %s\n", history.Payload, letter.Error)

		must(dead.Discard(ctx, events.LetterAction{By: "zoe", Reason: "a test order"}, letter))
		history, err = dead.Show(ctx, id)
		must(err)
		must(dead.Reopen(ctx, events.LetterAction{By: "zoe", Reason: "it was none"}, history.Letter))

		history, err = dead.Show(ctx, id)
		must(err)
		replay, err := dead.Replay(ctx, events.LetterAction{By: "zoe", Edit: func([]byte) ([]byte, error) {
			return []byte(`{"Customer": "ada", "Cents": 1}`), nil
		}}, history.Letter)
		must(err)
		for outcome, err := range replay.Outcomes(ctx) { // Wait collects them
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(replay.Len(), "replayed:", outcome.Result)
		}
	}
	for letter, err := range dead.List(ctx, events.LetterFilter{After: last, Limit: 100}) {
		must(err)
		fmt.Println("another letter:", letter.Error)
	}
	// Output:
	// a letter: no customer
	// {"Customer":"","Cents":1} failed with no customer
	// 1 replayed: done
}
