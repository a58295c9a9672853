package eventnodb_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// A service that has no database of its own: it reads one topic, produces to
// another, and keeps a cache fresh.
func Example() {
	type orderPlaced struct{ Customer string }
	type mailSent struct{ To string }
	placed := eventmodels.BindTopic[orderPlaced]("orders.placed")
	mails := eventmodels.BindTopic[mailSent]("mails.sent")
	sent := make(chan string)

	lib := eventnodb.New()
	lib.ConsumeIdempotent(events.NewConsumerGroup("mailing"), eventmodels.OnFailureBlock, "mail", placed.Handler(
		func(ctx context.Context, e eventmodels.Event[orderPlaced]) error {
			// The mail itself goes out here, e.ID as its idempotency key.
			// A redelivered event produces the same event again: consumers see its id twice.
			mail := mails.Event(e.Key, mailSent{To: e.Payload.Customer}).ID("mail-" + e.ID)
			return lib.Produce(ctx, eventmodels.ProduceImmediate, mail)
		}))
	lib.ConsumeBroadcast("sent", mails.Handler(
		func(_ context.Context, e eventmodels.Event[mailSent]) error {
			sent <- e.Payload.To
			return nil
		}))

	broker, err := eventembed.Start() // instead of a cluster
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(context.Background())
	lib.StartConsumingOrPanic(context.Background())

	err = lib.Produce(context.Background(), eventmodels.ProduceImmediate, placed.Event("order-1", orderPlaced{Customer: "zoe@example.org"}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("mail to", <-sent)
	// Output: mail to zoe@example.org
}
