package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

const latencyBytes = 250

// latency measures the way from a commit to Kafka and to a handler, at a rate
// that is far from what the machine can do.
func (b bench) latency(rate int) compare.Measurement {
	p50, p99 := 3*time.Millisecond, 10*time.Millisecond
	if rate > 200 {
		p50, p99 = 5*time.Millisecond, 25*time.Millisecond
	}
	return compare.Measurement{
		Name:  fmt.Sprintf("latency/%d", rate),
		Title: fmt.Sprintf("from the commit to Kafka and to the handler, at %d transactions/s of one row and one event", rate),
		Unit:  "events",
		Goals: []compare.Goal{compare.LatencyAtMost(toHandler, 0.5, p50), compare.LatencyAtMost(toHandler, 0.99, p99)},
		Notes: []string{
			"The schedule is fixed: transactions begin when it says, however long the others take. One process commits, relays and consumes.",
			"From the return of the call that commits; to Kafka: until a plain franz-go client, which reads the topic beside the rest, has it; to the handler: an idempotent one in a group of one.",
			forwarderNote,
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			dsn, err := b.servers.Database(ctx, c, "latency")
			if err != nil {
				return nil, err
			}
			l := &traveling{bench: b, every: time.Second / time.Duration(rate), dsn: dsn}
			return []compare.Contender{
				{Name: ours, Run: l.trial(l.events)},
				{Name: watermillName, Peer: true, Run: l.trial(l.watermill)},
			}, nil
		},
	}
}

// traveling is what the contenders of latency share.
type traveling struct {
	bench
	every time.Duration // a transaction begins
	dsn   string
}

// opener starts a contender's relay and handler for a topic. The result commits
// an order's row and its event.
type opener func(ctx context.Context, t *compare.Trial, topic string, j *journeys) (commit func(order) error, err error)

// trial runs the schedule with what open starts.
func (l *traveling) trial(open opener) func(context.Context, *compare.Trial) error {
	return func(ctx context.Context, t *compare.Trial) error {
		topic, err := l.servers.Topic(ctx, &t.Cleanup, "latency", partitions)
		if err != nil {
			return err
		}
		counted := int(l.size.latency / l.every)
		warm := counted/10 + 1
		j := newJourneys(warm + counted)
		ctx, cancel := context.WithTimeoutCause(ctx, patience+2*l.size.latency, errPatience)
		t.Defer(func(context.Context) error { cancel(); return nil })
		commit, err := open(ctx, t, topic, j)
		if err != nil {
			return err
		}
		if err := j.observe(ctx, &t.Cleanup, l.servers.Brokers, topic); err != nil {
			return err
		}
		if err := l.servers.Checkpoint(ctx); err != nil {
			return err
		}
		template := newOrder(0, latencyBytes)
		err = j.schedule(ctx, t, l.every, warm, func(i int) error {
			placed := template
			placed.ID = int64(i)
			return commit(placed)
		})
		if err != nil {
			return err
		}
		if err := await(ctx, j.done); err != nil {
			return fmt.Errorf("%w: of %d events %d times are missing", err, len(j.of), j.missing.Load())
		}
		t.End(counted)
		j.report(t, l.every, warm)
		return nil
	}
}

const createOrders = `CREATE TABLE IF NOT EXISTS orders (id bigint, note text); TRUNCATE orders`

// orderKey is the key of an order's event.
func orderKey(id int64) string { return fmt.Sprint("order-", id%variety) }

func (l *traveling) events(ctx context.Context, t *compare.Trial, topic string, j *journeys) (func(order) error, error) {
	db, err := openDB(ctx, &t.Cleanup, l.dsn)
	if err != nil {
		return nil, err
	}
	if _, err := db.Unwrap().ExecContext(ctx, createOrders); err != nil {
		return nil, err
	}
	bound := eventpg.BindTopic[order](topic)
	lib := l.newLibrary(&t.Cleanup, db)
	group := l.servers.Group(&t.Cleanup, "latency")
	lib.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureDiscard, "bench", bound.Handler(
		func(_ context.Context, e eventmodels.Event[order]) error { j.handle(e.Payload.ID); return nil }))
	if err := startRelay(ctx, &t.Cleanup, lib, 500); err != nil {
		return nil, err
	}
	if err := consume(ctx, &t.Cleanup, lib); err != nil {
		return nil, err
	}
	return func(placed order) error {
		return db.Transact(ctx, func(tx *eventpg.Tx) error {
			tx.Produce(bound.Event(orderKey(placed.ID), placed))
			_, err := tx.ExecContext(ctx, insertOrder, placed.ID, placed.Note)
			return err
		})
	}, nil
}

func (l *traveling) watermill(ctx context.Context, t *compare.Trial, topic string, j *journeys) (func(order) error, error) {
	f, err := l.openForwarding(ctx, &t.Cleanup, l.dsn, 500)
	if err != nil {
		return nil, err
	}
	if _, err := f.db.ExecContext(ctx, createOrders); err != nil {
		return nil, err
	}
	messages, err := l.watermillSubscribe(ctx, &t.Cleanup, l.servers.Group(&t.Cleanup, "latency-watermill"), topic)
	if err != nil {
		return nil, err
	}
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		for m := range messages {
			var placed order
			if err := json.Unmarshal(m.Payload, &placed); err == nil {
				j.handle(placed.ID)
			}
			m.Ack()
		}
	}()
	if err := f.start(ctx, &t.Cleanup); err != nil {
		return nil, err
	}
	return func(placed order) error {
		tx, err := f.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after COMMIT it does nothing
		publisher, err := f.publisher(tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, insertOrder, placed.ID, placed.Note); err != nil {
			return err
		}
		if err := publisher.Publish(topic, newWatermillMessage(orderKey(placed.ID), placed.json())); err != nil {
			return err
		}
		return tx.Commit()
	}, nil
}
