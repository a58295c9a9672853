// The command pgxnative is for services that use pgx itself: their own pool,
// their own transactions, and what database/sql does not have, such as COPY. It
// needs PostgreSQL:
//
//	go run ./examples/pgxnative -postgres postgres://events:events@localhost:15432/events
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

type shipment struct {
	Number string
	Boxes  []int
}

var (
	packed    = eventpg.BindTopic[shipment]("shipments.packed")
	logistics = events.NewConsumerGroup("logistics")
)

// pack stores a shipment and announces it, in a transaction that pgx began.
func pack(ctx context.Context, lib *eventpg.Library, pool *pgxpool.Pool, s shipment) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO shipments(number, boxes) VALUES ($1, $2)`, s.Number, s.Boxes); err != nil {
			return err
		}
		return eventpg.ProduceTx(ctx, lib, tx, packed.Event(s.Number, s))
	})
}

// label is an exactly-once handler. Its transaction's native connection takes
// part in the transaction, COPY included.
func label(ctx context.Context, tx *eventpg.Tx, e eventmodels.Event[shipment]) error {
	rows := pgx.CopyFromSlice(len(e.Payload.Boxes), func(i int) ([]any, error) {
		return []any{e.Payload.Number, e.Payload.Boxes[i]}, nil
	})
	_, err := tx.Native().CopyFrom(ctx, pgx.Identifier{"labels"}, []string{"number", "box"}, rows)
	return err
}

func run(ctx context.Context, dsn string) (err error) {
	pool, drop, err := ownSchema(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()

	labelled := make(chan struct{}, 100)
	lib := eventpg.NewLibrary()
	lib.ConsumeExactlyOnce(logistics, eventmodels.OnFailureBlock, "label", packed.HandlerTx(
		func(ctx context.Context, tx *eventpg.Tx, e eventmodels.Event[shipment]) error {
			defer func() { labelled <- struct{}{} }()
			return label(ctx, tx, e)
		}))
	db := eventpg.WrapPool(pool)
	defer db.Close()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	if _, err := lib.CatchUpProduce(ctx, time.Second, 500); err != nil {
		return err
	}
	lib.StartConsumingOrPanic(ctx)

	const shipments = 10
	for n := range shipments {
		if err := pack(ctx, lib, pool, shipment{Number: fmt.Sprintf("S-%d", n), Boxes: []int{1, 2, 3}}); err != nil {
			return err
		}
	}
	if err := pack(ctx, lib, pool, shipment{Number: "S-0"}); err == nil { // is rolled back, event and all
		return errors.New("a number was given twice")
	}
	for range shipments {
		select {
		case <-labelled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := lib.Shutdown(ctx); err != nil {
		return err
	}
	var labels int
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM labels`).Scan(&labels); err != nil {
		return err
	}
	fmt.Println(labels, "labels for", shipments, "shipments")
	if labels != 3*shipments {
		return fmt.Errorf("%d labels, not %d", labels, 3*shipments)
	}
	return nil
}

// ownSchema makes a schema for this run, with the library's tables and the
// service's.
func ownSchema(ctx context.Context, dsn string) (pool *pgxpool.Pool, drop func() error, err error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	schema := "events_example_" + strings.ToLower(rand.Text()[:8])
	config.ConnConfig.RuntimeParams["search_path"] = schema
	if pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, nil, err
	}
	drop = func() error {
		defer pool.Close()
		_, err := pool.Exec(context.WithoutCancel(ctx), `DROP SCHEMA IF EXISTS `+schema+` CASCADE`)
		return err
	}
	_, err = pool.Exec(ctx, `CREATE SCHEMA `+schema+`; CREATE TABLE shipments (number text PRIMARY KEY, boxes int[]); CREATE TABLE labels (number text, box int)`)
	if err == nil {
		migrating := stdlib.OpenDBFromPool(pool)
		defer migrating.Close()
		err = eventpg.Migrate(ctx, migrating)
	}
	if err != nil {
		return nil, nil, errors.Join(err, drop())
	}
	return pool, drop, nil
}

func main() {
	dsn := flag.String("postgres", "", "the URL of a PostgreSQL database")
	flag.Parse()
	if *dsn == "" {
		log.Fatal("needs PostgreSQL: -postgres URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, *dsn); err != nil {
		log.Fatal(err)
	}
}
