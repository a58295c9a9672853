package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventmysql"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/events2"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// The measurements of this file have the library on each of its databases.

// opened is a database of the library with what a measurement needs of it.
type opened interface {
	Close() error
}

// backend is a database that the library can have.
type backend[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB interface {
	eventmodels.AbstractDB[ID, TX]
	opened
}] struct {
	bench
	// open opens a new database.
	open func(ctx context.Context, c *compare.Cleanup) (DB, error)
	// effect is the statement for a row of effects.
	effect string
}

// backends returns what each backend does in a measurement, PostgreSQL first.
func (b bench) backends(relay bool) []compare.Contender {
	onPostgres := backend[eventmodels.StringEventID, *eventpg.Tx, *eventpg.DB]{b, func(ctx context.Context, c *compare.Cleanup) (*eventpg.DB, error) {
		dsn, err := b.servers.Database(ctx, c, "backends")
		if err != nil {
			return nil, err
		}
		return eventpg.Open(ctx, dsn, eventpg.WithMigrate())
	}, insertEffect}
	onSQLite := backend[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{b, func(ctx context.Context, c *compare.Cleanup) (*eventsqlite.DB, error) {
		folder, err := os.MkdirTemp("", "events-bench")
		if err != nil {
			return nil, err
		}
		c.Defer(func(context.Context) error { return os.RemoveAll(folder) })
		return eventsqlite.Open(ctx, filepath.Join(folder, "bench.db"), eventsqlite.WithMigrate())
	}, `INSERT INTO effects (order_id, cents) VALUES (?, ?)`}
	onMySQL := backend[eventmodels.BinaryEventID, *eventmysql.Tx, *eventmysql.DB]{b, func(ctx context.Context, c *compare.Cleanup) (*eventmysql.DB, error) {
		dsn, err := b.servers.MySQLDatabase(ctx, c, "backends")
		if err != nil {
			return nil, err
		}
		return eventmysql.Open(ctx, dsn, eventmysql.WithMigrate())
	}, onSQLite.effect}
	onSingleStore := backend[eventmodels.BinaryEventID, *events2.Tx, *events2.DB]{b, func(ctx context.Context, c *compare.Cleanup) (*events2.DB, error) {
		dsn, err := b.servers.SingleStoreDatabase(ctx, c, "backends")
		if err != nil {
			return nil, err
		}
		return events2.Open(ctx, dsn, events2.WithMigrate())
	}, onSQLite.effect}

	pick := func(drain, once func(context.Context, *compare.Trial) error) func(context.Context, *compare.Trial) error {
		if relay {
			return drain
		}
		return once
	}
	contenders := []compare.Contender{
		{Name: "PostgreSQL", Run: pick(onPostgres.drain, onPostgres.once)},
		{Name: "SQLite", Run: pick(onSQLite.drain, onSQLite.once)},
	}
	if b.servers != nil && b.servers.HasMySQL() {
		contenders = append(contenders, compare.Contender{Name: "MySQL", Run: pick(onMySQL.drain, onMySQL.once)})
	}
	if b.servers != nil && b.servers.HasSingleStore() {
		contenders = append(contenders, compare.Contender{Name: "SingleStore", Run: pick(onSingleStore.drain, onSingleStore.once)})
	}
	return contenders
}

func (b bench) backendsRelay() compare.Measurement {
	return compare.Measurement{
		Name:  "backends/relay",
		Title: fmt.Sprintf("an outbox of %d rows of %d bytes moved to Kafka, on each backend", b.size.backends, relayedBytes),
		Unit:  "rows",
		Notes: []string{"Timed from CatchUpProduce until the outbox is empty; 500 rows a read. Databases without their variable are left out."},
		Open: func(context.Context, *compare.Cleanup) ([]compare.Contender, error) {
			return b.backends(true), nil
		},
	}
}

func (b bench) backendsOnce() compare.Measurement {
	return compare.Measurement{
		Name:  "backends/once",
		Title: fmt.Sprintf("%d events handled exactly once, an effect of one row each, %d at a time, on each backend", b.size.backends, onceConnections),
		Unit:  "events",
		Notes: []string{"Timed from the first handler until all effects are committed. SQLite has one writer."},
		Open: func(context.Context, *compare.Cleanup) ([]compare.Contender, error) {
			return b.backends(false), nil
		},
	}
}

// library makes a Library on db, which is shut down in the cleanup.
func (b backend[ID, TX, DB]) library(c *compare.Cleanup, db DB) *events.Library[ID, TX, DB] {
	lib := events.New[ID, TX, DB]()
	lib.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	lib.SetLazyTxProduce(true)
	lib.Configure(db, nil, false, nil, nil, b.servers.Brokers)
	c.Defer(lib.Shutdown)
	return lib
}

func (b backend[ID, TX, DB]) openNew(ctx context.Context, c *compare.Cleanup) (DB, error) {
	db, err := b.open(ctx, c)
	if err == nil {
		c.Defer(func(context.Context) error { return db.Close() })
	}
	return db, err
}

// drain is a trial of the relay.
func (b backend[ID, TX, DB]) drain(ctx context.Context, t *compare.Trial) error {
	topic, err := b.servers.Topic(ctx, &t.Cleanup, "backends", partitions)
	if err != nil {
		return err
	}
	db, err := b.openNew(ctx, &t.Cleanup)
	if err != nil {
		return err
	}
	lib := b.library(&t.Cleanup, db)
	if err := b.fill(ctx, db, topic); err != nil {
		return err
	}
	outbox, err := db.OpenOutbox(ctx)
	if err != nil {
		return err
	}
	defer outbox.Close()
	ctx, cancel := patiently(ctx)
	defer cancel()
	t.Begin()
	running, end := context.WithCancel(ctx)
	done, err := lib.CatchUpProduce(running, time.Second, 500)
	if err != nil {
		end()
		return err
	}
	t.Defer(func(ctx context.Context) error {
		end()
		return await(ctx, done)
	})
	// The topic is asked first: looking for what is left is work that the
	// database would do for nothing.
	arrived := 0
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		if arrived < b.size.backends {
			if arrived, err = b.servers.Records(ctx, topic); err != nil || arrived < b.size.backends {
				return false, err
			}
		}
		page, err := outbox.ReadOutbox(ctx, eventmodels.OutboxRead{Limit: 1})
		return len(page.Rows) == 0, err
	})
	if err != nil {
		return err
	}
	t.End(b.size.backends)
	if arrived > b.size.backends {
		t.Note("%d rows have reached Kafka twice", arrived-b.size.backends)
	}
	return nil
}

// fill commits rows through the library.
func (b backend[ID, TX, DB]) fill(ctx context.Context, db DB, topic string) error {
	const rowsPerTransaction = 5000
	payloads, keys := newPayloads(relayedBytes), newKeys()
	for first := 0; first < b.size.backends; first += rowsPerTransaction {
		err := db.Transact(ctx, func(tx TX) error {
			for i := first; i < min(first+rowsPerTransaction, b.size.backends); i++ {
				tx.Produce(encodedEvent{topic: topic, key: keys[i%variety], contentType: contentTypeRaw, payload: payloads[i%variety]})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// once is a trial of exactly-once handling.
func (b backend[ID, TX, DB]) once(ctx context.Context, t *compare.Trial) error {
	topic, err := b.servers.Topic(ctx, &t.Cleanup, "backends", partitions)
	if err != nil {
		return err
	}
	if err := b.fillTopic(ctx, topic, eventmodels.ContentTypeJSON, b.size.backends); err != nil {
		return err
	}
	db, err := b.openNew(ctx, &t.Cleanup)
	if err != nil {
		return err
	}
	_ = db.Transact(ctx, func(tx TX) error { // which the definition itself commits in some databases: an error without a meaning
		_, err := tx.ExecContext(ctx, `CREATE TABLE effects (order_id bigint, cents bigint)`)
		return err
	})
	lib := b.library(&t.Cleanup, db)
	lib.SetMaxRunningHandlers(onceConnections)
	count := newCounter(t, b.size.backends)
	group := events.NewConsumerGroup(b.servers.Group(&t.Cleanup, "backends"))
	lib.ConsumeExactlyOnce(group, eventmodels.OnFailureBlock, "bench", eventmodels.BindTopicTx[order, ID, TX, DB](topic).HandlerTx(
		func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
			count.add()
			_, err := tx.ExecContext(ctx, b.effect, e.Payload.ID, e.Payload.Cents)
			return err
		}))
	ctx, cancel := patiently(ctx)
	defer cancel()
	running, end := context.WithCancel(ctx)
	started, stopped, err := lib.StartConsuming(running)
	if err != nil {
		end()
		return err
	}
	t.Defer(func(ctx context.Context) error {
		end()
		return await(ctx, stopped)
	})
	if err := await(ctx, started); err != nil {
		return err
	}
	if err := await(ctx, count.done); err != nil {
		return fmt.Errorf("%w: %d of %d events have come", err, count.got.Load(), count.want)
	}
	committed := 0
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		err := db.Transact(ctx, func(tx TX) error {
			return tx.QueryRowContext(ctx, `SELECT count(*) FROM effects`).Scan(&committed)
		})
		return committed >= b.size.backends, err
	})
	if err != nil {
		return err
	}
	t.End(b.size.backends)
	if committed != b.size.backends {
		return fmt.Errorf("%d events had %d effects", b.size.backends, committed)
	}
	return nil
}
