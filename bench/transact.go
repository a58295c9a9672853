package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventpg"
)

const (
	committers     = 16
	committedBytes = 250
	bareHeaders    = 200 // bytes, about what the headers of CloudEvents take
)

// transact measures what an event costs the transaction that it is produced in.
func (b bench) transact() compare.Measurement {
	return compare.Measurement{
		Name:  "transact",
		Title: fmt.Sprintf("transactions of one row and one event of %d bytes, goroutines: %d", committedBytes, committers),
		Unit:  "commits",
		Notes: []string{
			"bare: BEGIN, INSERT of the row, INSERT of the event into a table like the outbox, COMMIT by pgx.",
			"A relay moves the outbox only where it says so; the outbox grows elsewhere.",
			fmt.Sprintf("key locks: WithKeyLocks, with %d keys.", variety),
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			o, err := b.openCommitting(ctx, c)
			if err != nil {
				return nil, err
			}
			return []compare.Contender{
				{Name: ours, Run: o.events(false)},
				{Name: ours + ", key locks", Run: o.events(false, eventpg.WithKeyLocks())},
				{Name: ours + ", relay", Run: o.events(true)},
				{Name: "bare", Peer: true, Run: o.bare},
			}, nil
		},
	}
}

// committing is what the contenders of transact share.
type committing struct {
	bench
	dsn      string
	pool     *pgxpool.Pool
	orders   []order
	payloads [][]byte
	keys     []string
}

func (b bench) openCommitting(ctx context.Context, c *compare.Cleanup) (*committing, error) {
	o := &committing{bench: b, orders: newOrders(committedBytes), payloads: newPayloads(committedBytes), keys: newKeys()}
	var err error
	if o.dsn, err = b.servers.Database(ctx, c, "transact"); err != nil {
		return nil, err
	}
	var migrating compare.Cleanup
	if _, err := openDB(ctx, &migrating, o.dsn); err != nil {
		return nil, err
	}
	if err := migrating.Run(ctx); err != nil {
		return nil, err
	}
	if o.pool, err = newPool(ctx, c, o.dsn, committers); err != nil {
		return nil, err
	}
	_, err = o.pool.Exec(ctx, `
		CREATE TABLE orders (id bigint, note text);
		CREATE TABLE bare_outbox (LIKE events_outbox INCLUDING ALL)`)
	return o, err
}

// trial commits with do for the time that the size gives.
func (o *committing) trial(ctx context.Context, t *compare.Trial, do task) error {
	if _, err := o.pool.Exec(ctx, `TRUNCATE orders, events_outbox, bare_outbox`); err != nil {
		return err
	}
	if err := o.servers.Checkpoint(ctx); err != nil {
		return err
	}
	warm, err := hammer(ctx, committers, o.size.transact/10, do)
	if err != nil {
		return err
	}
	t.Begin()
	committed, err := hammer(ctx, committers, o.size.transact, do)
	if err != nil {
		return err
	}
	t.End(committed)
	var rows int
	if err := o.pool.QueryRow(ctx, `SELECT count(*) FROM orders`).Scan(&rows); err != nil {
		return err
	}
	if rows != warm+committed {
		return fmt.Errorf("%w: %d transactions were committed, and %d rows are there", errMissing, warm+committed, rows)
	}
	return nil
}

const insertOrder = `INSERT INTO orders (id, note) VALUES ($1, $2)`

func (o *committing) events(relayed bool, opts ...eventpg.Option) func(context.Context, *compare.Trial) error {
	return func(ctx context.Context, t *compare.Trial) error {
		topic, err := o.servers.Topic(ctx, &t.Cleanup, "transact", partitions)
		if err != nil {
			return err
		}
		db, err := openDB(ctx, &t.Cleanup, o.dsn, opts...)
		if err != nil {
			return err
		}
		lib := o.newLibrary(&t.Cleanup, db)
		if !relayed {
			lib.SetLazyTxProduce(true)
		} else if err := startRelay(ctx, &t.Cleanup, lib, 500); err != nil {
			return err
		}
		bound := eventpg.BindTopic[order](topic)
		return o.trial(ctx, t, func(ctx context.Context, _, n int) error {
			n %= variety
			return db.Transact(ctx, func(tx *eventpg.Tx) error {
				tx.Produce(bound.Event(o.keys[n], o.orders[n]))
				_, err := tx.ExecContext(ctx, insertOrder, n, o.orders[n].Note)
				return err
			})
		})
	}
}

func (o *committing) bare(ctx context.Context, t *compare.Trial) error {
	const insertEvent = `INSERT INTO bare_outbox (scope, id, topic, key, headers, payload, created_at) VALUES ('', $1, 'orders', $2, $3, $4, $5)`
	headers := make([]byte, bareHeaders)
	return o.trial(ctx, t, func(ctx context.Context, _, n int) error {
		n %= variety
		return pgx.BeginFunc(ctx, o.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, insertOrder, n, o.orders[n].Note); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, insertEvent, uuid.New(), []byte(o.keys[n]), headers, o.payloads[n], time.Now())
			return err
		})
	})
}
