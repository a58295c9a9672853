package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

func TestEmbedded(t *testing.T) {
	if err := run(t.Context(), options{orders: 200}, testOutput{t}); err != nil {
		t.Fatal(err)
	}
}

// Nothing is lost, and nothing is done twice, while Kafka refuses events and a
// handler fails.
func TestTrouble(t *testing.T) {
	if err := run(t.Context(), options{orders: 100, lasting: 6 * time.Second, trouble: true, metrics: "127.0.0.1:0"}, testOutput{t}); err != nil {
		t.Fatal(err)
	}
}

func TestRealServers(t *testing.T) {
	kafka := os.Getenv("EVENTS_KAFKA_BROKERS")
	for name, o := range map[string]options{
		"postgres": {postgres: os.Getenv("EVENTS_POSTGRES_DSN")},
		"mysql":    {mysql: os.Getenv("EVENTS_MYSQL_DSN")},
	} {
		t.Run(name, func(t *testing.T) {
			if kafka == "" || o.postgres+o.mysql == "" {
				message := "EVENTS_KAFKA_BROKERS and EVENTS_" + strings.ToUpper(name) + "_DSN are not both set: no servers to test with (scripts/services up starts them)"
				if required := os.Getenv("EVENTS_REQUIRE"); strings.Contains(required, "kafka") && strings.Contains(required, name) {
					t.Fatal(message)
				}
				t.Skip(message)
			}
			o.orders, o.kafka = 200, kafka
			if err := run(t.Context(), o, testOutput{t}); err != nil {
				t.Fatal(err)
			}
		})
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
			`UPDATE demo_customers SET orders = 2 WHERE customer = 'bob'`,
			`INSERT INTO demo_orders(id, product, cents) VALUES ('order-3', 'apple', 1)`,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	broker, err := eventembed.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	lib := events.New[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(context.WithoutCancel(ctx))
	st := newStats()
	st.mailed = map[string]int{"twice": 1, "phantom": 1}
	st.outOfOrder = []string{"ada: 3 after 1"}
	s := &shop[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{play: play{out: testOutput{t}}, db: db, lib: lib, bind: "?", cache: newPriceCache(), stats: st}
	err = check(context.WithoutCancel(ctx), s.play, []*shop[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{s}, time.Second)
	if err == nil {
		t.Fatal("no difference was found")
	}
	for _, want := range []string{"without invoice: order-3, silent", "more than once: twice", "without order: ghost", "without confirmation: silent", "rolled back: phantom", "bread",
		"sales and orders differ", "bob: 0 of 2", "ada: 3 after 1", "0, not 1"} {
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
