// The command ordering keeps the balances of accounts. The movements of one
// account are handled one after the other, also when one of them has to be
// tried again; those of different accounts run in parallel.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// movement is the nth of its account, which is the event's key.
type movement struct{ N, Cents int }

var (
	moved    = eventmodels.BindTopic[movement]("accounts.moved")
	balances = events.NewConsumerGroup("balances")
)

const accounts, movements = 8, 50

// ledger is what the handler writes.
type ledger struct {
	done chan struct{} // closed when all is there

	mu       sync.Mutex
	last     map[string]int // account -> its last movement
	balance  map[string]int
	attempts map[string]bool // that have failed once
	missing  int
	wrong    []string // what came out of order
}

// apply is idempotent: a movement that comes again changes nothing.
func (l *ledger) apply(_ context.Context, e eventmodels.Event[movement]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch event := fmt.Sprintf("%s/%d", e.Key, e.Payload.N); {
	case e.Payload.N%10 == 0 && !l.attempts[event]:
		l.attempts[event] = true
		return errors.New("the ledger is locked") // the account's next movements wait until this one is done
	case e.Payload.N <= l.last[e.Key]:
		return nil
	case e.Payload.N != l.last[e.Key]+1:
		l.wrong = append(l.wrong, event)
	}
	l.last[e.Key] = e.Payload.N
	l.balance[e.Key] += e.Payload.Cents
	if l.missing--; l.missing == 0 {
		close(l.done)
	}
	return nil
}

func run(ctx context.Context) error {
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()
	l := &ledger{done: make(chan struct{}), last: map[string]int{}, balance: map[string]int{}, attempts: map[string]bool{}, missing: accounts * movements}
	lib := eventnodb.New()
	lib.SetLogger(slog.New(slog.DiscardHandler)) // of the failures, which are wanted here
	lib.ConsumeIdempotent(balances, eventmodels.OnFailureBlock, "apply", moved.Handler(l.apply),
		events.WithOrdering(events.ByKey), events.WithBackoff(10*time.Millisecond, time.Second))
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)
	lib.StartConsumingOrPanic(ctx)

	for n := 1; n <= movements; n++ {
		var sent []eventmodels.ProducingEvent
		for a := range accounts {
			sent = append(sent, moved.Event(fmt.Sprintf("account-%d", a), movement{N: n, Cents: n}))
		}
		if err := lib.Produce(ctx, eventmodels.ProduceImmediate, sent...); err != nil {
			return err
		}
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return ctx.Err()
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) > 0 {
		return fmt.Errorf("out of order: %v", l.wrong)
	}
	for account, cents := range l.balance {
		if want := movements * (movements + 1) / 2; cents != want {
			return fmt.Errorf("the balance of %s is %d, not %d", account, cents, want)
		}
	}
	fmt.Printf("%d accounts, %d movements each, in order, although %d had to be tried again\n", len(l.balance), movements, len(l.attempts))
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
