package events_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/eventsqlite"
)

type shipment struct{ N int }

var shipments = eventmodels.BindTopic[shipment]("shipments")

// outboxDB is a database in which the application owns its transactions.
type outboxDB[TX eventmodels.AbstractTX] interface {
	eventmodels.AbstractDB[eventmodels.StringEventID, TX]
}

// producing makes a library without a relay on a broker of its own.
func producing[TX eventmodels.AbstractTX, DB outboxDB[TX]](t *testing.T, db DB) (*events.Library[eventmodels.StringEventID, TX, DB], *eventembed.Broker) {
	t.Helper()
	broker := embedded(t)
	lib := events.New[eventmodels.StringEventID, TX, DB]()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := lib.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return lib, broker
}

// ownTransaction is a transaction of the application's, of any type.
type ownTransaction struct {
	tx               any
	commit, rollback func() error
}

// checkOwn produces in transactions that begin makes.
func checkOwn[TX eventmodels.AbstractTX, DB outboxDB[TX]](t *testing.T, db DB, begin func() ownTransaction) {
	t.Helper()
	ctx := context.Background()
	lib, broker := producing[TX](t, db)
	produce := func(n int) ownTransaction {
		own := begin()
		if err := db.ProduceTx(ctx, own.tx, shipments.Event("k", shipment{n}), shipments.Event("k", shipment{n + 1})); err != nil {
			t.Fatal(err)
		}
		return own
	}
	if err := produce(1).rollback(); err != nil {
		t.Fatal(err)
	}
	if err := produce(3).commit(); err != nil {
		t.Fatal(err)
	}
	if err := lib.ProduceFromTable(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, broker); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("stored %v, want those of the transaction that committed", got)
	}
	own := begin()
	if err := db.ProduceTx(ctx, own.tx, nil); err == nil {
		t.Error("a nil event was taken")
	}
	if err := own.rollback(); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []any{nil, db, (*sql.Tx)(nil), "tx"} {
		if err := db.ProduceTx(ctx, wrong, shipments.Event("k", shipment{5})); err == nil {
			t.Errorf("%T was taken for a transaction", wrong)
		}
	}
}

// stored are the shipments on the broker, by partition and offset.
func stored(t *testing.T, broker *eventembed.Broker) (numbers []int) {
	t.Helper()
	records, err := broker.Records("shipments")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		numbers = append(numbers, number(t, r))
	}
	return numbers
}

func number(t *testing.T, r *kgo.Record) int {
	t.Helper()
	var s shipment
	if err := json.Unmarshal(r.Value, &s); err != nil {
		t.Fatal(err)
	}
	return s.N
}

// own is a *sql.Tx as an ownTransaction.
func own(t *testing.T, pool *sql.DB) func() ownTransaction {
	return func() ownTransaction {
		tx, err := pool.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return ownTransaction{tx, tx.Commit, tx.Rollback}
	}
}

// Events can be produced in a transaction that the application owns.
func TestProduceTx(t *testing.T) {
	t.Run("SQLite *sql.Tx", func(t *testing.T) {
		db := openSQLite(t)
		checkOwn[*eventsqlite.Tx](t, db, own(t, db.Unwrap().DB))
	})
	t.Run("PostgreSQL *sql.Tx", func(t *testing.T) {
		db, _ := openPostgres(t)
		checkOwn[*eventpg.Tx](t, db, own(t, db.Unwrap().DB))
	})
	t.Run("PostgreSQL pgx.Tx", func(t *testing.T) {
		ctx := context.Background()
		db, dsn := openPostgres(t)
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(ctx) })
		checkOwn[*eventpg.Tx](t, db, func() ownTransaction {
			tx, err := conn.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return ownTransaction{tx, func() error { return tx.Commit(ctx) }, func() error { return tx.Rollback(ctx) }}
		})
	})
}

func openPostgres(t *testing.T, options ...eventpg.Option) (*eventpg.DB, string) {
	t.Helper()
	dsn := newPostgresDatabase(t, backend(t, "postgres", "EVENTS_POSTGRES_DSN"))
	db, err := eventpg.Open(context.Background(), dsn, append(options, eventpg.WithMigrate())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, dsn
}

// With WithKeyLocks the events of a key are in the order of the commits
// although the transactions have no row in common.
func TestKeyLocksKeepOrder(t *testing.T) {
	const keys, workers, each = 3, 6, 20
	ctx := context.Background()
	db, _ := openPostgres(t, eventpg.WithKeyLocks())
	lib, broker := producing[*eventpg.Tx](t, db)
	if err := lib.CreateTopics(ctx, "test", []string{"shipments"}); err != nil {
		t.Fatal(err)
	}
	relayed, err := lib.CatchUpProduce(ctx, 50*time.Millisecond, 100)
	if err != nil {
		t.Fatal(err)
	}
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		next  int
		order = make(map[string][]int) // of the commits, by key
	)
	for worker := range workers {
		work.Go(func() {
			key := fmt.Sprint("k", worker%keys)
			for range each {
				mu.Lock()
				next++
				n := next
				mu.Unlock()
				err := db.Transact(ctx, func(tx *eventpg.Tx) error {
					if err := db.ProduceTx(ctx, tx, shipments.Event(key, shipment{n})); err != nil {
						return err
					}
					// Until the commit no other transaction comes so far.
					mu.Lock()
					order[key] = append(order[key], n)
					mu.Unlock()
					_, err := tx.ExecContext(ctx, `SELECT pg_sleep(random() * 0.005)`)
					return err
				})
				if err != nil {
					t.Errorf("Transact: %v", err)
				}
			}
		})
	}
	work.Wait()
	if err := lib.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	<-relayed
	got := make(map[string][]int)
	records, err := broker.Records("shipments")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		got[string(r.Key)] = append(got[string(r.Key)], number(t, r))
	}
	for key, want := range order {
		if !slices.Equal(got[key], want) {
			t.Errorf("key %s: stored %v, committed %v", key, got[key], want)
		}
	}
	if len(records) != workers*each {
		t.Errorf("%d records, want %d", len(records), workers*each)
	}
}
