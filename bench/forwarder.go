package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// The outbox of Watermill: its SQL publisher writes messages in the
// transaction, its forwarder reads them and publishes them to Kafka.

const (
	forwarderName  = "Watermill forwarder"
	forwarderTopic = "outbox" // the tables are named after it
	// forwarderPoll is how long the forwarder waits when it has found nothing;
	// its default is a second.
	forwarderPoll = 2 * time.Millisecond
	// forwarderConnections bounds the pool of the application and the forwarder,
	// so that transactions wait for each other when the database is slow.
	forwarderConnections = 32
)

var forwarderNote = fmt.Sprintf("%s: watermill-sql's publisher and subscriber on PostgreSQL, its forwarder component and its Kafka publisher; it reads as many rows at a time as events, "+
	"and polls every %v (default: 1 s). It publishes one message after the other, keeps a transaction open meanwhile, and does not delete rows.", forwarderName, forwarderPoll)

// forwarding is a database with Watermill's outbox.
type forwarding struct {
	bench
	db        *sql.DB
	batchSize int
}

// openForwarding makes the tables of an empty outbox in the database.
func (b bench) openForwarding(ctx context.Context, c *compare.Cleanup, dsn string, batchSize int) (*forwarding, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, errors.New("the PostgreSQL connection string cannot be read")
	}
	c.Defer(func(context.Context) error { return db.Close() })
	db.SetMaxOpenConns(forwarderConnections)
	db.SetMaxIdleConns(forwarderConnections)
	f := &forwarding{bench: b, db: db, batchSize: batchSize}
	for _, table := range []string{f.schema().MessagesTable(forwarderTopic), f.offsets().MessagesOffsetsTable(forwarderTopic)} {
		if _, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+table); err != nil {
			return nil, err
		}
	}
	subscriber, err := f.subscriber()
	if err != nil {
		return nil, err
	}
	return f, errors.Join(subscriber.SubscribeInitialize(forwarderTopic), subscriber.Close())
}

func (f *forwarding) schema() watermillsql.DefaultPostgreSQLSchema {
	return watermillsql.DefaultPostgreSQLSchema{SubscribeBatchSize: f.batchSize}
}

func (f *forwarding) offsets() watermillsql.DefaultPostgreSQLOffsetsAdapter {
	return watermillsql.DefaultPostgreSQLOffsetsAdapter{}
}

func (f *forwarding) subscriber() (*watermillsql.Subscriber, error) {
	return watermillsql.NewSubscriber(f.db, watermillsql.SubscriberConfig{
		SchemaAdapter:  f.schema(),
		OffsetsAdapter: f.offsets(),
		PollInterval:   forwarderPoll,
	}, watermillLogger)
}

// publisher is what writes messages into the outbox with db, which may be a
// transaction.
func (f *forwarding) publisher(db watermillsql.ContextExecutor) (message.Publisher, error) {
	inner, err := watermillsql.NewPublisher(db, watermillsql.PublisherConfig{SchemaAdapter: f.schema()}, watermillLogger)
	if err != nil {
		return nil, err
	}
	return forwarder.NewPublisher(inner, forwarder.PublisherConfig{ForwarderTopic: forwarderTopic}), nil
}

// start starts the forwarder and returns when it runs. It ends in the cleanup.
func (f *forwarding) start(ctx context.Context, c *compare.Cleanup) error {
	subscriber, err := f.subscriber()
	if err != nil {
		return err
	}
	publisher, err := f.watermillPublisher(c)
	if err != nil {
		return err
	}
	forward, err := forwarder.NewForwarder(subscriber, publisher, watermillLogger, forwarder.Config{ForwarderTopic: forwarderTopic})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- forward.Run(context.WithoutCancel(ctx)) }()
	c.Defer(func(context.Context) error { return errors.Join(forward.Close(), <-ended) })
	return await(ctx, forward.Running())
}

// forwardedRows is how many rows the outbox of the forwarder has: a fraction of
// the others', since it takes so much longer with each.
func (r *relaying) forwardedRows() int { return r.rows / 40 }

// forwarder is the trial of Watermill.
func (r *relaying) forwarder(ctx context.Context, t *compare.Trial) error {
	topic, err := r.servers.Topic(ctx, &t.Cleanup, "relay-watermill", partitions)
	if err != nil {
		return err
	}
	f, err := r.openForwarding(ctx, &t.Cleanup, r.dsn, r.batchSize)
	if err != nil {
		return err
	}
	publisher, err := f.publisher(f.db)
	if err != nil {
		return err
	}
	payloads, keys := newPayloads(relayedBytes), newKeys()
	const rowsPerStatement = 1000
	for first := 0; first < r.forwardedRows(); first += rowsPerStatement {
		var rows []*message.Message
		for i := first; i < min(first+rowsPerStatement, r.forwardedRows()); i++ {
			rows = append(rows, newWatermillMessage(keys[i%variety], payloads[i%variety]))
		}
		if err := publisher.Publish(topic, rows...); err != nil {
			return err
		}
	}
	if _, err := f.db.ExecContext(ctx, "VACUUM (ANALYZE) "+f.schema().MessagesTable(forwarderTopic)); err != nil {
		return err
	}
	if err := r.servers.Checkpoint(ctx); err != nil {
		return err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	t.Begin()
	if err := f.start(ctx, &t.Cleanup); err != nil {
		return err
	}
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		records, err := r.servers.Records(ctx, topic)
		return records >= r.forwardedRows(), err
	})
	if err != nil {
		return err
	}
	t.End(r.forwardedRows())
	return r.check(ctx, t, []string{topic}, r.forwardedRows())
}
