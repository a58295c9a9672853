package events_test

import (
	"context"
	"fmt"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// JobChanged says how far a job is.
type JobChanged struct {
	ID    int
	State string
}

// Some part of the process waits for news of one object, such as a request
// that returns when its job is done, wherever that runs.
func ExampleRegisterFiltered() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()

	// In a service: package variables, since a notifier reaches the Libraries that are configured after it.
	jobs := eventmodels.BindTopic[JobChanged]("jobs.changed")
	byID := events.RegisterFiltered("jobs-by-id", jobs, func(e eventmodels.Event[JobChanged]) int { return e.Payload.ID })

	lib := eventsqlite.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	// First subscribe, then look where the job is: nothing can come in between.
	reader := byID.Subscribe(lib, 7)
	defer reader.Unsubscribe()
	must(lib.Produce(ctx, eventmodels.ProduceImmediate,
		jobs.Event("8", JobChanged{ID: 8, State: "failed"}),
		jobs.Event("7", JobChanged{ID: 7, State: "done"})))
	<-reader.WaitChan()
	fmt.Println(reader.Consume().Payload)
	// Output: {7 done}
}

// A reader of everything that is broadcast on a topic. With Async a slow
// reader holds up neither the others nor the topic: up to 100 events may wait
// for it. Without, each event waits until all readers have it.
func ExampleRegisterUnfiltered() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()

	// In a service: package variables, since a notifier reaches the Libraries that are configured after it.
	builds := eventmodels.BindTopic[JobChanged]("builds.changed")
	all := events.RegisterUnfiltered("builds-all", builds, events.Async(100), events.WrapHandlerOpt(events.WithConcurrency(1)))

	lib := eventsqlite.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	reader := all.Subscribe(lib)
	defer reader.Unsubscribe()
	for _, state := range []string{"waiting", "running", "done"} {
		must(lib.Produce(ctx, eventmodels.ProduceImmediate, builds.Event("1", JobChanged{ID: 1, State: state})))
	}
	for range 3 {
		<-reader.WaitChan()
		fmt.Println(reader.Consume().Payload.State)
	}
	// Output:
	// waiting
	// running
	// done
}

// Two readers of the same broadcast. With Async(-1) any number of events may
// wait for a slow reader, in memory: the handler does not wait for it.
func ExampleAsync() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	tests := eventmodels.BindTopic[JobChanged]("tests.changed")
	all := events.RegisterUnfiltered("tests-all", tests, events.Async(-1))

	lib := eventsqlite.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	slow, quick := all.Subscribe(lib), all.Subscribe(lib)
	defer slow.Unsubscribe()
	defer quick.Unsubscribe()
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, tests.Event("1", JobChanged{ID: 1, State: "passed"})))
	<-quick.WaitChan() // does not wait for the slow one
	fmt.Println("quick:", quick.Consume().Payload.State)
	<-slow.WaitChan()
	fmt.Println("slow:", slow.Consume().Payload.State)
	// Output:
	// quick: passed
	// slow: passed
}
