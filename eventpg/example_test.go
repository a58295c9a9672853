package eventpg_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

type OrderPlaced struct {
	ID     string
	Amount int
}

var (
	lib    = eventpg.NewLibrary()
	placed = eventpg.BindTopic[OrderPlaced]("orders.placed")
)

// The order and its event are stored together, or neither is.
func ExampleConnection() {
	ctx := context.Background()
	db, err := eventpg.Open(ctx, "postgres://service@localhost/service", eventpg.WithMigrate())
	if err != nil {
		panic(err)
	}
	defer db.Close()
	lib.Configure(db, nil, true, nil, nil, []string{"localhost:9092"})

	order := OrderPlaced{ID: "4711", Amount: 3}
	err = db.Transact(ctx, func(tx *eventpg.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO orders (id, amount) VALUES ($1, $2)`, order.ID, order.Amount); err != nil {
			return err
		}
		tx.Produce(placed.Event(order.ID, order))
		return nil
	})
	if err != nil {
		panic(err)
	}
}

// A service that has a pool of its own.
func ExampleWrap() {
	pool, err := sql.Open("pgx", "postgres://service@localhost/service")
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	if err := eventpg.Migrate(context.Background(), pool); err != nil {
		panic(err)
	}
	lib.Configure(eventpg.Wrap(pool, eventpg.WithKeyLocks()), nil, true, nil, nil, []string{"localhost:9092"})
}

// A transaction of pgx that the application begins and ends itself.
func ExampleProduceTx() {
	store := func(ctx context.Context, conn *pgx.Conn, order OrderPlaced) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE customers SET orders = orders + 1`); err != nil {
				return err
			}
			return eventpg.ProduceTx(ctx, lib, tx, placed.Event(order.ID, order))
		})
	}
	_ = store
}

// The options of a database.
func ExampleOpen() {
	db, err := eventpg.Open(context.Background(), "postgres://service@localhost/service",
		eventpg.WithMigrate(),             // the library's tables
		eventpg.WithKeyLocks(),            // the order of a key without a common row
		eventpg.WithMaxConnections(20),    // of the pool
		eventpg.WithMarkWait(time.Minute)) // for another's mark of the same event
	if err != nil {
		panic(err)
	}
	defer db.Close()
	fmt.Println("advisory locks of class", eventpg.KeyLockClass(""))
}

// A service whose tables another tool makes, from eventpg.Schema, looks before
// it starts. Its pool has the library's connector, which saves a round trip for
// each transaction.
func ExampleConnector() {
	config, err := pgx.ParseConfig("postgres://service@localhost/service")
	if err != nil {
		panic(err)
	}
	pool := sql.OpenDB(eventpg.Connector(stdlib.GetConnector(*config)))
	defer pool.Close()
	if err := eventpg.CheckSchema(context.Background(), pool); err != nil {
		panic(err)
	}
	lib.Configure(eventpg.Wrap(pool), nil, true, nil, nil, []string{"localhost:9092"})
}

// A service with a transaction type of its own; see examples/owntx.
func ExampleNew() {
	pool, err := sql.Open("pgx", "postgres://service@localhost/service")
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	db := eventpg.New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: pool})
	lib := events.New[eventmodels.StringEventID, *eventdb.ExampleBasicTX, *eventpg.Connection[*eventdb.ExampleBasicTX, eventdb.ExampleBasicDB]]()
	lib.Configure(db, nil, true, nil, nil, []string{"localhost:9092"})
}
