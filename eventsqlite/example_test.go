package eventsqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/seed46dd6f11/events/eventsqlite"
)

func ExampleOpen() {
	ctx := context.Background()
	db, err := eventsqlite.Open(ctx, ":memory:", eventsqlite.WithMigrate())
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// The service's own tables live in the same file.
	if _, err := db.Unwrap().ExecContext(ctx, `CREATE TABLE orders (id TEXT PRIMARY KEY, amount INTEGER)`); err != nil {
		log.Fatal(err)
	}

	// With a Library that is configured with db, tx.Produce adds events to
	// the transaction.
	err = db.Transact(ctx, func(tx *eventsqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO orders VALUES ('o-1', 42)`)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	var amount int
	if err := db.Unwrap().QueryRowContext(ctx, `SELECT amount FROM orders WHERE id = 'o-1'`).Scan(&amount); err != nil {
		log.Fatal(err)
	}
	fmt.Println(amount)
	// Output: 42
}

// A file, whose tables another tool makes from eventsqlite.Schema.
func ExampleCheckSchema() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := eventsqlite.Open(ctx, filepath.Join(folder, "shop.db"), eventsqlite.WithMaxConnections(4), eventsqlite.WithMarkWait(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	fmt.Println("migrated:", eventsqlite.CheckSchema(ctx, db.Unwrap().DB) == nil)
	if err := eventsqlite.Migrate(ctx, db.Unwrap().DB); err != nil {
		log.Fatal(err)
	}
	fmt.Println("migrated:", eventsqlite.CheckSchema(ctx, db.Unwrap().DB) == nil)
	// Output:
	// migrated: false
	// migrated: true
}

// A pool that the service opens itself. _txlock=immediate lets transactions
// wait for their turn.
func ExampleWrap() {
	pool, err := sql.Open("sqlite", "file:shop.db?_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	lib := eventsqlite.NewLibrary()
	lib.Configure(eventsqlite.Wrap(pool), nil, false, nil, nil, []string{"kafka:9092"})
}
