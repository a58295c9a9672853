package events2_test

import (
	"context"
	"database/sql"
	"log"
	"os"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/events2"
)

// All services that produce events for a prefix give the same lock prefix.
func ExampleOpen() {
	ctx := context.Background()
	db, err := events2.Open(ctx, os.Getenv("SINGLESTORE_DSN"), events2.WithMigrate(), events2.WithLockPrefix("shop"),
		events2.WithMaxConnections(20), events2.WithMarkWait(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	lib := events2.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, []string{"kafka:9092"})
}

// A pool that the service opens itself, whose tables another tool has made.
func ExampleWrap() {
	pool, err := sql.Open("mysql", os.Getenv("SINGLESTORE_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if err := events2.CheckSchema(context.Background(), pool); err != nil {
		log.Fatal(err)
	}
	lib := events2.NewLibrary()
	lib.Configure(events2.Wrap(pool), nil, false, nil, nil, []string{"kafka:9092"})
}

type OrderPlaced struct{ Cents int }

// A transaction of GORM, sqlc or ent: what they run on is a *sql.Tx.
func ExampleProduceTx() {
	placed := events2.BindTopic[OrderPlaced]("orders.placed")
	store := func(ctx context.Context, lib *events2.Library, tx *sql.Tx, id string, order OrderPlaced) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO orders(id, cents) VALUES (?, ?)`, id, order.Cents); err != nil {
			return err
		}
		return events2.ProduceTx(ctx, lib, tx, placed.Event(id, order))
	}
	_ = store
}

// A service with a transaction type of its own; see examples/owntx.
func ExampleNew() {
	pool, err := sql.Open("mysql", os.Getenv("SINGLESTORE_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if err := events2.Migrate(context.Background(), pool); err != nil {
		log.Fatal(err)
	}
	db := events2.New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: pool}, "shop")
	lib := events.New[eventmodels.BinaryEventID, *eventdb.ExampleBasicTX, *events2.Connection[*eventdb.ExampleBasicTX, eventdb.ExampleBasicDB]]()
	lib.Configure(db, nil, false, nil, nil, []string{"kafka:9092"})
}
