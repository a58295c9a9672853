// The command otherlanguage exchanges events with services that are not written
// in Go. It reads records as these write them, with the SDKs of CloudEvents
// (binary and structured mode) and without any, and shows what they read of its
// own. The records are written and read by a bare Kafka client, as a client in
// any language would; the README beside this folder has it in Python.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

type payment struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

var (
	received = eventmodels.BindTopic[payment]("payments.received")
	booked   = eventmodels.BindTopic[payment]("payments.booked")
	books    = events.NewConsumerGroup("books")
)

// theirs are the records of other services.
func theirs() []*kgo.Record {
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return []*kgo.Record{
		{ // the binary mode: attributes in headers, the value is the data
			Topic: received.Topic(), Key: []byte("order-1"), Value: []byte(`{"order": "order-1", "cents": 100}`),
			Headers: []kgo.RecordHeader{
				header("ce_specversion", "1.0"), header("ce_id", "p-1"), header("ce_source", "/python/payments"),
				header("ce_type", "payment.received"), header("content-type", "application/json"),
			},
		},
		{ // the structured mode: all of it in the value
			Topic: received.Topic(), Key: []byte("order-2"),
			Value: []byte(`{"specversion": "1.0", "id": "p-2", "source": "/java/payments", "type": "payment.received",
				"datacontenttype": "application/json", "data": {"order": "order-2", "cents": 200}}`),
			Headers: []kgo.RecordHeader{header("content-type", "application/cloudevents+json; charset=UTF-8")},
		},
		{ // no CloudEvent, only JSON
			Topic: received.Topic(), Key: []byte("order-3"), Value: []byte(`{"order": "order-3", "cents": 300}`),
		},
	}
}

func run(ctx context.Context) error {
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()

	// Our service: it books payments, and says so.
	lib := eventnodb.New()
	lib.ConsumeIdempotent(books, eventmodels.OnFailureBlock, "book", received.Handler(
		func(ctx context.Context, e eventmodels.Event[payment]) error {
			fmt.Printf("payment of %d for %s, id %q from %q\n", e.Payload.Cents, e.Payload.Order, e.ID, e.Source)
			// The same id whenever the payment is delivered again.
			return lib.Produce(ctx, eventmodels.ProduceImmediate,
				booked.Event(e.Key, e.Payload).ID(e.DerivedID(0)).Source("/go/books").Type("payment.booked"))
		}))
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	// Their services.
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.ConsumeTopics(booked.Topic()),
		kgo.MetadataMinAge(10*time.Millisecond), kgo.UnknownTopicRetries(-1)) // the topic is made with our first event
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, theirs()...).FirstErr(); err != nil {
		return err
	}
	total := 0
	for seen := 0; seen < len(theirs()); {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			return err
		}
		for _, r := range fetched.Records() {
			seen++
			cents, err := read(r)
			if err != nil {
				return fmt.Errorf("what we wrote for %s: %w", r.Key, err)
			}
			total += cents
		}
	}
	fmt.Println("booked:", total)
	if total != 600 {
		return fmt.Errorf("%d were booked, not 600", total)
	}
	return nil
}

// read reads a record in the way of a program that knows the standard and
// nothing of this library.
func read(r *kgo.Record) (cents int, err error) {
	headers := make(map[string]string)
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	for name, want := range map[string]string{
		"ce_specversion": "1.0", "ce_source": "/go/books", "ce_type": "payment.booked", "content-type": "application/json",
	} {
		if headers[name] != want {
			return 0, fmt.Errorf("the header %s is %q, not %q", name, headers[name], want)
		}
	}
	if headers["ce_id"] == "" || headers["ce_time"] == "" {
		return 0, errors.New("no id or no time")
	}
	var order string
	_, err = fmt.Sscanf(string(r.Value), `{"order":%q,"cents":%d}`, &order, &cents)
	return cents, err
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
