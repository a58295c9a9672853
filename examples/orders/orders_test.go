package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventsqlite"
)

func TestEmbedded(t *testing.T) {
	if err := run(t.Context(), options{orders: 200}, testOutput{t}); err != nil {
		t.Fatal(err)
	}
}

func TestRealServers(t *testing.T) {
	o := options{orders: 200, kafka: os.Getenv("EVENTS_KAFKA_BROKERS"), postgres: os.Getenv("EVENTS_POSTGRES_DSN")}
	if o.kafka == "" || o.postgres == "" {
		const message = "EVENTS_KAFKA_BROKERS and EVENTS_POSTGRES_DSN are not both set: no servers to test with (scripts/services up starts them)"
		if os.Getenv("EVENTS_REQUIRE") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	if err := run(t.Context(), o, testOutput{t}); err != nil {
		t.Fatal(err)
	}
}

// The check at the end can fail: here with an order that nobody was told of,
// one that is invoiced twice, and a cache that is behind.
func TestCheckFindsDifferences(t *testing.T) {
	ctx := t.Context()
	db, err := eventsqlite.Open(ctx, t.TempDir()+"/shop.db", eventsqlite.WithMigrate())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := createTables(ctx, db, "?"); err != nil {
		t.Fatal(err)
	}
	if err := db.Transact(ctx, func(tx *eventsqlite.Tx) error {
		for _, statement := range []string{
			`INSERT INTO demo_orders(id, product, cents) VALUES ('silent', 'apple', 1), ('twice', 'apple', 2)`,
			`INSERT INTO demo_invoices(order_id, cents) VALUES ('twice', 2), ('twice', 2), ('ghost', 3)`,
			`UPDATE demo_prices SET version = 4 WHERE product = 'bread'`,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	st := &stats{mailed: map[string]int{"twice": 1, "phantom": 1}}
	s := &shop[*eventsqlite.Tx, *eventsqlite.DB]{play: play{out: testOutput{t}}, db: db, bind: "?", cache: newPriceCache(), stats: st}
	err = check(context.WithoutCancel(ctx), s.play, []*shop[*eventsqlite.Tx, *eventsqlite.DB]{s}, time.Second)
	if err == nil {
		t.Fatal("no difference was found")
	}
	for _, want := range []string{"without invoice: silent", "more than once: twice", "without order: ghost", "without confirmation: silent", "rolled back: phantom", "bread"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type testOutput struct{ t *testing.T }

func (o testOutput) Write(line []byte) (int, error) {
	o.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
