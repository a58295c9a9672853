package events_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// OrderPlaced is the event of the examples.
type OrderPlaced struct {
	Customer string
	Cents    int
}

// exampleServers starts what the examples run on: an embedded broker instead
// of a Kafka cluster, and a database in memory.
func exampleServers() (broker *eventembed.Broker, db *eventsqlite.DB, stop func()) {
	broker, err := eventembed.Start()
	must(err)
	db, err = eventsqlite.Open(context.Background(), ":memory:", eventsqlite.WithMigrate())
	must(err)
	return broker, db, func() {
		must(db.Close())
		must(broker.Close())
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// An event that is produced in a transaction reaches Kafka if the transaction
// commits, and not otherwise.
func Example() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	_, err := db.Unwrap().ExecContext(ctx, `CREATE TABLE orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents > 0))`)
	must(err)
	announced := make(chan string)

	lib := eventsqlite.NewLibrary()
	lib.ConsumeIdempotent(events.NewConsumerGroup("mailing"), eventmodels.OnFailureBlock, "confirm", placed.Handler(
		func(_ context.Context, e eventmodels.Event[OrderPlaced]) error {
			announced <- e.Key
			return nil
		}))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	place := func(id string, cents int) error {
		return db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			tx.Produce(placed.Event(id, OrderPlaced{Customer: "zoe", Cents: cents}))
			_, err := tx.ExecContext(ctx, `INSERT INTO orders VALUES (?, ?)`, id, cents)
			return err
		})
	}
	fmt.Println("order-1 is refused:", place("order-1", 0) != nil)
	must(place("order-2", 1999))
	fmt.Println("announced:", <-announced)
	// Output:
	// order-1 is refused: true
	// announced: order-2
}

// An idempotent handler gets every event at least once: what it does must be
// harmless when done again, like putting a value in its place.
func ExampleLibrary_ConsumeIdempotent() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	mailing := events.NewConsumerGroup("mailing")
	mailed := make(chan string)

	lib := eventsqlite.NewLibrary()
	lib.ConsumeIdempotent(mailing, eventmodels.OnFailureBlock, "confirm", placed.Handler(
		func(_ context.Context, e eventmodels.Event[OrderPlaced]) error {
			if e.Payload.Customer == "" {
				// Trying again will not help: the handler's OnFailure decides at once.
				return eventmodels.SetErrorHandling(fmt.Errorf("order %s has no customer", e.Key), eventmodels.DoNotRetry)
			}
			mailed <- e.Payload.Customer
			return nil
		}))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	must(lib.Produce(ctx, eventmodels.ProduceImmediate, placed.Event("order-1", OrderPlaced{Customer: "zoe", Cents: 1999})))
	fmt.Println("mailed", <-mailed)
	// Output: mailed zoe
}

// An exactly-once handler's SQL effects happen once for each event, however
// often it is produced or delivered; events that it produces in the
// transaction, too.
func ExampleLibrary_ConsumeExactlyOnce() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	invoiced := eventsqlite.BindTopic[int]("orders.invoiced")
	billing := events.NewConsumerGroup("billing")
	_, err := db.Unwrap().ExecContext(ctx, `CREATE TABLE balances (customer TEXT PRIMARY KEY, cents INTEGER NOT NULL)`)
	must(err)
	balances := make(chan int, 10)

	lib := eventsqlite.NewLibrary()
	lib.ConsumeExactlyOnce(billing, eventmodels.OnFailureBlock, "invoice", placed.HandlerTx(
		func(ctx context.Context, tx *eventsqlite.Tx, e eventmodels.Event[OrderPlaced]) error {
			var balance int
			err := tx.QueryRowContext(ctx, `INSERT INTO balances VALUES (?1, ?2)
				ON CONFLICT (customer) DO UPDATE SET cents = cents + ?2 RETURNING cents`, e.Payload.Customer, e.Payload.Cents).Scan(&balance)
			if err != nil {
				return err
			}
			tx.Produce(invoiced.Event(e.Payload.Customer, balance))
			return nil
		}))
	lib.ConsumeIdempotent(billing, eventmodels.OnFailureBlock, "watch", invoiced.Handler(
		func(_ context.Context, e eventmodels.Event[int]) error {
			balances <- e.Payload
			return nil
		}))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	// The same event twice, as after a crash of its producer, and another one.
	event := placed.Event("order-1", OrderPlaced{Customer: "zoe", Cents: 1000}).ID("placed-1")
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, event, event))
	fmt.Println("balance", <-balances)
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, placed.Event("order-2", OrderPlaced{Customer: "zoe", Cents: 500})))
	fmt.Println("balance", <-balances)
	// Output:
	// balance 1000
	// balance 1500
}

// Every instance of a service gets a broadcast: here two caches are kept
// fresh. What the instances missed because Kafka had removed it before is
// reported, so that they can start afresh.
func ExampleLibrary_ConsumeBroadcast() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	prices := eventsqlite.BindTopic[int]("prices.changed")
	var changed sync.WaitGroup

	instance := func() (*eventsqlite.Library, *sync.Map) {
		cache := new(sync.Map)
		lib := eventsqlite.NewLibrary()
		lib.ConsumeBroadcast("cache", prices.Handler(
			func(_ context.Context, e eventmodels.Event[int]) error {
				cache.Store(e.Key, e.Payload)
				changed.Done()
				return nil
			}))
		lib.OnBroadcastGap(func(string) { cache.Clear() })
		return lib, cache
	}
	one, cacheOne := instance()
	two, cacheTwo := instance()
	one.Configure(db, nil, false, nil, nil, broker.Addrs())
	two.Configure(nil, nil, false, nil, nil, broker.Addrs()) // broadcasts need no database
	defer one.Shutdown(ctx)
	defer two.Shutdown(ctx)
	one.StartConsumingOrPanic(ctx)
	two.StartConsumingOrPanic(ctx)

	changed.Add(2)
	must(one.Produce(ctx, eventmodels.ProduceImmediate, prices.Event("apple", 99)))
	changed.Wait()
	first, _ := cacheOne.Load("apple")
	second, _ := cacheTwo.Load("apple")
	fmt.Println("apple:", first, second)
	// Output: apple: 99 99
}
