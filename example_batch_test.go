package events_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// A batch handler gets what has queued up while it was busy, here at most 100
// events at a time and one batch after the other. It can say which of them
// failed: only these are tried again, or follow the handler's OnFailure.
func ExampleWithBatch() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	indexed := make(chan string, 1000)

	lib := eventsqlite.NewLibrary()
	lib.ConsumeIdempotent(events.NewConsumerGroup("search"), eventmodels.OnFailureDiscard, "index", placed.BatchHandler(
		func(_ context.Context, batch []eventmodels.Event[OrderPlaced]) error {
			var failed eventmodels.BatchError
			for i, e := range batch { // one request to the search engine, in a service
				if e.Payload.Customer == "" {
					failed.Fail(i, eventmodels.SetErrorHandling(fmt.Errorf("order %s has no customer", e.Key), eventmodels.DoNotRetry))
					continue
				}
				indexed <- e.Key
			}
			return failed.Err()
		}), events.WithBatch(100))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	orders := []eventmodels.ProducingEvent{placed.Event("nobody's", OrderPlaced{Cents: 1})}
	for n := range 200 {
		orders = append(orders, placed.Event(fmt.Sprint("order-", n), OrderPlaced{Customer: "zoe", Cents: n}))
	}
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, orders...))
	seen := map[string]bool{}
	for len(seen) < 200 {
		seen[<-indexed] = true
	}
	fmt.Println(len(seen), "indexed,", seen["nobody's"])
	// Output: 200 indexed, false
}

// A batch of an exactly-once handler is one transaction: one statement for
// all its events, and one COMMIT.
func ExampleLibrary_ConsumeExactlyOnce_batch() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	_, err := db.Unwrap().ExecContext(ctx, `CREATE TABLE invoices (order_id TEXT NOT NULL, cents INTEGER NOT NULL)`)
	must(err)
	invoiced := make(chan int, 1000)

	lib := eventsqlite.NewLibrary()
	lib.ConsumeExactlyOnce(events.NewConsumerGroup("billing"), eventmodels.OnFailureBlock, "invoice", placed.BatchHandlerTx(
		func(ctx context.Context, tx *eventsqlite.Tx, batch []eventmodels.Event[OrderPlaced]) error {
			var args []any
			for _, e := range batch {
				args = append(args, e.Key, e.Payload.Cents)
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO invoices VALUES (?, ?)`+strings.Repeat(`, (?, ?)`, len(batch)-1), args...)
			if err == nil {
				invoiced <- len(batch)
			}
			return err
		}), events.WithBatch(50))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	var orders []eventmodels.ProducingEvent
	for n := range 100 {
		orders = append(orders, placed.Event(fmt.Sprint("order-", n), OrderPlaced{Customer: "zoe", Cents: 10}))
	}
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, orders...))
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, orders[:50]...)) // other events: each Produce gives them new ids
	for n := 0; n < 150; {
		n += <-invoiced
	}
	must(lib.Shutdown(ctx)) // the last batch has committed
	var cents int
	must(db.Unwrap().QueryRowContext(ctx, `SELECT sum(cents) FROM invoices`).Scan(&cents))
	fmt.Println("invoiced", cents)
	// Output: invoiced 1500
}
