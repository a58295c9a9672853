// The command batch loads readings of meters into a table. While the database
// is busy with one batch the next readings queue up, and are the next batch:
// one transaction and one statement for many of them. A reading that cannot be
// stored is put aside as a dead letter, and costs the others nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

type reading struct {
	Meter string
	Watt  int
}

var (
	readings = eventsqlite.BindTopic[reading]("meters.read")
	loading  = events.NewConsumerGroup("loading")
)

// loader is the batch handler.
type loader struct {
	batches atomic.Int64
	loaded  chan int
}

func (l *loader) load(ctx context.Context, tx *eventsqlite.Tx, batch []eventmodels.Event[reading]) error {
	// Say which events are bad, and the rest of the batch runs again without
	// them. After any other error the library finds them by halves.
	var failed eventmodels.BatchError
	for i, e := range batch {
		if e.Payload.Watt < 0 {
			failed.Fail(i, eventmodels.SetErrorHandling(fmt.Errorf("a negative reading of meter %s", e.Payload.Meter), eventmodels.DoNotRetry))
		}
	}
	if err := failed.Err(); err != nil {
		return err
	}

	var values []any
	for _, e := range batch {
		values = append(values, e.Payload.Meter, e.Payload.Watt)
	}
	rows := strings.TrimSuffix(strings.Repeat("(?, ?), ", len(batch)), ", ")
	if _, err := tx.ExecContext(ctx, `INSERT INTO readings(meter, watt) VALUES `+rows, values...); err != nil {
		return err
	}
	l.batches.Add(1)
	l.loaded <- len(batch)
	return nil
}

func run(ctx context.Context) error {
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()
	db, err := eventsqlite.Open(ctx, ":memory:", eventsqlite.WithMigrate())
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Unwrap().ExecContext(ctx, `CREATE TABLE readings (meter TEXT, watt INTEGER)`); err != nil {
		return err
	}

	const all, bad = 5000, 3
	l := &loader{loaded: make(chan int, all)}
	lib := eventsqlite.NewLibrary()
	lib.ConsumeExactlyOnce(loading, eventmodels.OnFailureSave, "load", readings.BatchHandlerTx(l.load),
		events.WithBatch(500), events.WithQueueDepthLimit(1000))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())

	var sent []eventmodels.ProducingEvent
	for n := range all {
		r := reading{Meter: fmt.Sprintf("meter-%d", n%50), Watt: n}
		if n%2000 == 1000 || n == all-1 {
			r.Watt = -1
		}
		sent = append(sent, readings.Event(r.Meter, r))
	}
	if err := lib.Produce(ctx, eventmodels.ProduceImmediate, sent...); err != nil {
		return err
	}

	lib.StartConsumingOrPanic(ctx)
	for n := 0; n < all-bad; {
		select {
		case rows := <-l.loaded:
			n += rows
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := lib.Shutdown(ctx); err != nil { // the last transaction and the letters are done behind it
		return err
	}

	var rows, wrong int
	if err := db.Unwrap().QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE watt < 0) FROM readings`).Scan(&rows, &wrong); err != nil {
		return err
	}
	fmt.Printf("%d readings are in the table, loaded in %d batches\n", rows, l.batches.Load())
	if rows != all-bad || wrong != 0 {
		return fmt.Errorf("%d readings are in the table, %d of them negative; there should be %d", rows, wrong, all-bad)
	}
	if l.batches.Load() > all/10 {
		return errors.New("the batches were hardly larger than single events")
	}
	return countLetters(ctx, broker.Addrs(), bad)
}

// countLetters looks at what was put aside, as another process would.
func countLetters(ctx context.Context, brokers []string, want int) error {
	lib := eventsqlite.NewLibrary()
	lib.Configure(nil, nil, false, nil, nil, brokers)
	defer lib.Shutdown(ctx)
	letters := 0
	for letter, err := range lib.DeadLetters(loading).List(ctx, events.LetterFilter{States: events.OpenLetters}) {
		if err != nil {
			return err
		}
		letters++
		fmt.Println("put aside:", letter.Error)
	}
	if letters != want {
		return fmt.Errorf("%d letters, not %d", letters, want)
	}
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
