package events_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

// A pgx pool of any size serves transactions, the relay and handlers, also one
// of a single connection; the pool is the application's before and after.
func TestWrapPool(t *testing.T) {
	dsn := backend(t, "postgres", "EVENTS_POSTGRES_DSN")
	for _, size := range []int32{1, 4} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			own := newPostgresDatabase(t, dsn)
			migrated, err := eventpg.Open(ctx, own, eventpg.WithMigrate())
			if err != nil {
				t.Fatal(err)
			}
			migrated.Close()
			config, err := pgxpool.ParseConfig(own)
			if err != nil {
				t.Fatal(err)
			}
			config.MaxConns = size
			pool, err := pgxpool.NewWithConfig(ctx, config)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if _, err := pool.Exec(ctx, `CREATE TABLE done (n int)`); err != nil {
				t.Fatal(err)
			}

			db := eventpg.WrapPool(pool)
			if n := db.MaxConnections(); n != int(size) {
				t.Errorf("MaxConnections %d, want %d", n, size)
			}
			ordered, billed := eventpg.BindTopic[int]("ordered"), eventpg.BindTopic[int]("billed")
			got := make(chan int, 100)
			lib := eventpg.NewLibrary()
			lib.SkipNotifierSupport()
			lib.SetPrefix("w" + uuid.NewString()[:8] + ".")
			group := events.NewConsumerGroup("g")
			lib.ConsumeExactlyOnce(group, eventmodels.OnFailureBlock, "bill", ordered.HandlerTx(
				func(ctx context.Context, tx *eventpg.Tx, e eventmodels.Event[int]) error {
					if _, err := tx.Native().Exec(ctx, `INSERT INTO done VALUES ($1)`, e.Payload); err != nil {
						return err
					}
					tx.Produce(billed.Event("", e.Payload))
					return nil
				}))
			lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "got", billed.Handler(
				func(_ context.Context, e eventmodels.Event[int]) error { got <- e.Payload; return nil }))
			lib.Configure(db, nil, false, nil, nil, embedded(t).Addrs())
			if _, err := lib.CatchUpProduce(ctx, 100*time.Millisecond, 500); err != nil {
				t.Fatal(err)
			}
			started, _, err := lib.StartConsuming(ctx)
			if err != nil {
				t.Fatal(err)
			}
			awaitDone(t, started, "consuming")

			const total = 30
			for n := range total {
				err := db.Transact(ctx, func(tx *eventpg.Tx) error {
					// The same transaction on both sides.
					if _, err := tx.Native().Exec(ctx, `INSERT INTO done VALUES ($1)`, -n-1); err != nil {
						return err
					}
					var seen int
					if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM done WHERE n = $1`, -n-1).Scan(&seen); err != nil || seen != 1 {
						return fmt.Errorf("%d rows, error %w", seen, err)
					}
					tx.Produce(ordered.Event("", n))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Transact(ctx, func(tx *eventpg.Tx) error {
				tx.Produce(ordered.Event("", total))
				return context.Canceled
			}); err == nil {
				t.Error("a transaction that fails is committed")
			}
			arrived := make(map[int]int)
			for len(arrived) < total {
				select {
				case n := <-got:
					arrived[n]++
				case <-ctx.Done():
					t.Fatalf("waited a minute for %d events, got %d", total, len(arrived))
				}
			}
			if err := lib.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			// The pool is open, and whole.
			var rows, distinct int
			if err := pool.QueryRow(ctx, `SELECT count(*), count(DISTINCT n) FROM done`).Scan(&rows, &distinct); err != nil {
				t.Fatalf("the pool after Close: %v", err)
			}
			if rows != 2*total || distinct != 2*total || arrived[total] != 0 {
				t.Errorf("%d rows, %d distinct, want %d; rolled back event %d times", rows, distinct, 2*total, arrived[total])
			}
			if n := pool.Stat().AcquiredConns(); n != 0 {
				t.Errorf("%d connections were not given back", n)
			}
		})
	}
}

func TestWrapPoolPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("WrapPool(nil) does not panic")
		}
	}()
	eventpg.WrapPool(nil)
}
