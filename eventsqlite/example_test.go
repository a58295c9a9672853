package eventsqlite_test

import (
	"context"
	"fmt"
	"log"

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
