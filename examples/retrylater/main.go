// The command retrylater has a bug: orders from abroad make its handler fail.
// They are put aside as dead letters, while the other orders go on; the letters
// say what is wrong. When the bug is repaired they are handled: by themselves,
// when their pause is over, or at once, since somebody asks for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

type order struct{ Country string }

var (
	placed   = eventmodels.BindTopic[order]("orders.placed")
	shipping = events.NewConsumerGroup("shipping")
)

// depot ships orders.
type depot struct {
	repaired atomic.Bool

	mu      sync.Mutex
	shipped map[string]bool // guarded by mu
	news    chan struct{}   // for each order that was shipped
}

func (d *depot) ship(_ context.Context, e eventmodels.Event[order]) error {
	if e.Payload.Country != "DE" && !d.repaired.Load() {
		// To try again at once would not help.
		return eventmodels.SetErrorHandling(errors.New("customs: no form for this country"), eventmodels.DoNotRetry)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.shipped[e.Key] {
		d.shipped[e.Key] = true
		d.news <- struct{}{}
	}
	return nil
}

// wait waits until n more orders were shipped.
func (d *depot) wait(ctx context.Context, n int) error {
	for range n {
		select {
		case <-d.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func run(ctx context.Context) error {
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()
	d := &depot{shipped: make(map[string]bool), news: make(chan struct{}, 100)}
	lib := eventnodb.New()
	lib.ConsumeIdempotent(shipping, eventmodels.OnFailureRetryLater, "ship", placed.Handler(d.ship))
	lib.SetDeadLetterBackoff(time.Hour, time.Hour) // nobody would see more than the replay here
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	const inland, abroad = 20, 5
	for n := range inland + abroad {
		o := order{Country: "DE"}
		if n < abroad {
			o.Country = "CH"
		}
		if err := lib.Produce(ctx, eventmodels.ProduceImmediate, placed.Event(fmt.Sprintf("order-%d", n), o)); err != nil {
			return err
		}
	}
	if err := d.wait(ctx, inland); err != nil {
		return err
	}
	fmt.Println(inland, "orders are shipped")

	letters := lib.DeadLetters(shipping)
	open := events.LetterFilter{States: events.OpenLetters}
	for count := 0; count < abroad; { // the last letters may be under way
		causes, err := letters.Causes(ctx, open)
		if err != nil {
			return err
		}
		for _, cause := range causes {
			if count = cause.Count; count == abroad {
				fmt.Printf("%d letters of handler %s: %s\n", cause.Count, cause.Handler, cause.Example.Error)
			}
		}
	}

	d.repaired.Store(true) // the new version is deployed
	result, err := letters.Bulk(ctx, events.LetterBulk{
		Op:      events.ReplayLetters,
		Action:  events.LetterAction{By: "zoe", Reason: "customs has the forms now"},
		Letters: letters.List(ctx, open),
	})
	if err != nil {
		return err
	}
	if err := d.wait(ctx, abroad); err != nil {
		return err
	}
	fmt.Println(result.Done, "letters were replayed, and their orders are shipped")
	if result.Done != abroad {
		return fmt.Errorf("%d letters were replayed, not %d", result.Done, abroad)
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
