package eventmysql_test

import (
	"context"
	"database/sql"
	"log"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventmysql"
)

// A pool that the service opens itself, with settings of its own.
func ExampleWrap() {
	config, err := mysql.ParseDSN(os.Getenv("MYSQL_DSN"))
	if err != nil {
		log.Fatal("MYSQL_DSN cannot be read")
	}
	config.InterpolateParams = true // one round trip for each statement instead of three
	config.Params = map[string]string{"innodb_lock_wait_timeout": "10"}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	if err := eventmysql.Migrate(context.Background(), pool); err != nil {
		log.Fatal(err)
	}
	lib := eventmysql.NewLibrary()
	lib.Configure(eventmysql.Wrap(pool), nil, false, nil, nil, []string{"kafka:9092"})
}

// The library opens the pool, and makes its tables.
func ExampleOpen() {
	ctx := context.Background()
	db, err := eventmysql.Open(ctx, os.Getenv("MYSQL_DSN"), eventmysql.WithMigrate(), eventmysql.WithKeyLocks(),
		eventmysql.WithMaxConnections(20), eventmysql.WithMarkWait(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	lib := eventmysql.NewLibrary()
	lib.Configure(db, nil, false, nil, nil, []string{"kafka:9092"})
}

// A service whose tables another tool makes, from eventmysql.Schema, looks
// before it starts.
func ExampleCheckSchema() {
	pool, err := sql.Open("mysql", os.Getenv("MYSQL_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if err := eventmysql.CheckSchema(context.Background(), pool); err != nil {
		log.Fatal(err)
	}
}

type OrderPlaced struct{ Cents int }

// A transaction of GORM, sqlc or ent: what they run on is a *sql.Tx.
func ExampleProduceTx() {
	placed := eventmysql.BindTopic[OrderPlaced]("orders.placed")
	store := func(ctx context.Context, lib *eventmysql.Library, tx *sql.Tx, id string, order OrderPlaced) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO orders(id, cents) VALUES (?, ?)`, id, order.Cents); err != nil {
			return err
		}
		return eventmysql.ProduceTx(ctx, lib, tx, placed.Event(id, order))
	}
	_ = store
}

// A service with a transaction type of its own; see examples/owntx.
func ExampleNew() {
	pool, err := sql.Open("mysql", os.Getenv("MYSQL_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	db := eventmysql.New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: pool})
	lib := events.New[eventmodels.BinaryEventID, *eventdb.ExampleBasicTX, *eventmysql.Connection[*eventdb.ExampleBasicTX, eventdb.ExampleBasicDB]]()
	lib.Configure(db, nil, false, nil, nil, []string{"kafka:9092"})
}
