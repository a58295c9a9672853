package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

// onceConnections is how many transactions run at the same time.
const onceConnections = 16

// once measures exactly-once handling: a transaction per event, with its mark
// and one row of effect.
func (b bench) once() compare.Measurement {
	return compare.Measurement{
		Name:  "once/single",
		Title: fmt.Sprintf("%d events handled exactly once, one by one, an effect of one row each, %d at a time", b.size.once, onceConnections),
		Unit:  "events",
		Goals: []compare.Goal{compare.RatioAtLeast("pipelined", 0.9)},
		Notes: []string{
			"events reads them from Kafka; timed from the first handler until all effects are committed.",
			"bare: BEGIN, INSERT of the mark, INSERT of the effect, COMMIT by pgx, without Kafka. bare, round trips: 3: BEGIN and the mark in one pgx.Batch, then the effect, then COMMIT, which is what events sends. pipelined: all four in one pgx.Batch.",
			"Where the distance to pipelined comes from: first the round trips, three instead of one, which cost the database's processes more than ours. BEGIN travels with the mark, but the handler is not called before it is known whether the event is new, " +
				"it waits for the result of its own statement, and only its return says whether to commit. What needs one round trip cannot let a handler see a result; batches share the three among their events.",
			"What else events does is the distance to \"bare, round trips: 3\". Of the CPU time that our process needs more for an event, 55 µs where it was profiled, BEGIN and the mark are 23 (a connection, contexts and a transaction of database/sql, " +
				"an INSERT that takes any number of marks and returns the new ones), decoding the payload 9, COMMIT 7, the handler's INSERT through database/sql 5, engine, group and garbage collector the rest.",
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			o, err := b.openOnce(ctx, c, b.size.once)
			if err != nil {
				return nil, err
			}
			return []compare.Contender{
				{Name: ours, Run: o.events},
				{Name: "bare", Peer: true, Run: o.bare(onceConnections, o.n, oneByOne)},
				{Name: "bare, round trips: 3", Peer: true, Run: o.bare(onceConnections, o.n, inThree)},
				{Name: "pipelined", Peer: true, Run: o.bare(onceConnections, o.n, pipelined)},
			}, nil
		},
	}
}

// onceOnly is what the contenders of once share.
type onceOnly struct {
	bench
	n          int // events in the topic
	topic, dsn string
	pool       *pgxpool.Pool // of the bare contenders, with one more connection than they have
}

func (b bench) openOnce(ctx context.Context, c *compare.Cleanup, n int) (*onceOnly, error) {
	o := &onceOnly{bench: b, n: n}
	var err error
	if o.topic, err = b.servers.Topic(ctx, c, "once", partitions); err != nil {
		return nil, err
	}
	if err := b.fillTopic(ctx, o.topic, eventmodels.ContentTypeJSON, n); err != nil {
		return nil, err
	}
	if o.dsn, err = b.servers.Database(ctx, c, "once"); err != nil {
		return nil, err
	}
	var migrating compare.Cleanup
	if _, err := openDB(ctx, &migrating, o.dsn); err != nil {
		return nil, err
	}
	if err := migrating.Run(ctx); err != nil {
		return nil, err
	}
	if o.pool, err = newPool(ctx, c, o.dsn, onceConnections+1); err != nil {
		return nil, err
	}
	_, err = o.pool.Exec(ctx, `
		CREATE TABLE effects (order_id bigint, cents bigint);
		CREATE TABLE bare_marks (LIKE events_marks INCLUDING ALL)`)
	return o, err
}

// newPool opens a pool of pgx with connections that are open already, and closes
// it in the cleanup.
func newPool(ctx context.Context, c *compare.Cleanup, dsn string, connections int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the PostgreSQL connection string cannot be read") // pgx's error would quote it
	}
	config.MaxConns, config.MinConns = connections, connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c.Defer(func(context.Context) error { pool.Close(); return nil })
	return pool, pool.Ping(ctx)
}

// empty makes room for the next trial.
func (o *onceOnly) empty(ctx context.Context) error {
	for _, s := range []string{`TRUNCATE effects, events_marks, bare_marks`, `VACUUM (ANALYZE) effects, events_marks, bare_marks`} {
		if _, err := o.pool.Exec(ctx, s); err != nil {
			return err
		}
	}
	return o.servers.Checkpoint(ctx)
}

// effects counts what has been committed.
func (o *onceOnly) effects(ctx context.Context) (n int, err error) {
	err = o.pool.QueryRow(ctx, `SELECT count(*) FROM effects`).Scan(&n)
	return n, err
}

const insertEffect = `INSERT INTO effects (order_id, cents) VALUES ($1, $2)`

func (o *onceOnly) events(ctx context.Context, t *compare.Trial) error {
	return o.consumed(ctx, t, func(lib *eventpg.Library, group events.ConsumerGroupName, count *counter) {
		lib.ConsumeExactlyOnce(group, eventmodels.OnFailureBlock, "bench", eventpg.BindTopic[order](o.topic).HandlerTx(
			func(ctx context.Context, tx *eventpg.Tx, e eventmodels.Event[order]) error {
				count.add()
				_, err := tx.ExecContext(ctx, insertEffect, e.Payload.ID, e.Payload.Cents)
				return err
			}))
	})
}

// consumed is a trial of the library with the handler that register registers.
func (o *onceOnly) consumed(ctx context.Context, t *compare.Trial, register func(*eventpg.Library, events.ConsumerGroupName, *counter)) error {
	if err := o.empty(ctx); err != nil {
		return err
	}
	db, err := openDB(ctx, &t.Cleanup, o.dsn)
	if err != nil {
		return err
	}
	lib := o.newLibrary(&t.Cleanup, db)
	lib.SetMaxRunningHandlers(onceConnections)
	count := newCounter(t, o.n)
	register(lib, events.NewConsumerGroup(o.servers.Group(&t.Cleanup, "once")), count)
	ctx, cancel := patiently(ctx)
	defer cancel()
	if err := consume(ctx, &t.Cleanup, lib); err != nil {
		return err
	}
	if err := await(ctx, count.done); err != nil {
		return fmt.Errorf("%w: %d of %d events have come", err, count.got.Load(), count.want)
	}
	committed := 0
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		committed, err = o.effects(ctx)
		return committed >= o.n, err
	})
	if err != nil {
		return err
	}
	t.End(o.n)
	if committed != o.n {
		return fmt.Errorf("%d events had %d effects", o.n, committed)
	}
	return nil
}

const insertBareMark = `INSERT INTO bare_marks (k) VALUES ($1) ON CONFLICT DO NOTHING`

func oneByOne(ctx context.Context, conn *pgxpool.Conn, n int) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertBareMark, bareMark(int64(n))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertEffect, n, n)
		return err
	})
}

// inThree has the round trips of the library.
func inThree(ctx context.Context, conn *pgxpool.Conn, n int) error {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue(insertBareMark, bareMark(int64(n)))
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, insertEffect, n, n); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "COMMIT")
	return err
}

func pipelined(ctx context.Context, conn *pgxpool.Conn, n int) error {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue(insertBareMark, bareMark(int64(n)))
	batch.Queue(insertEffect, n, n)
	batch.Queue("COMMIT")
	return conn.SendBatch(ctx, &batch).Close()
}

// bare is a trial of the database alone: the given number of transactions, the
// nth by commit, on several connections.
func (o *onceOnly) bare(connections, transactions int, commit func(ctx context.Context, conn *pgxpool.Conn, n int) error) func(context.Context, *compare.Trial) error {
	return func(ctx context.Context, t *compare.Trial) error {
		if err := o.empty(ctx); err != nil {
			return err
		}
		conns := make([]*pgxpool.Conn, connections)
		for i := range conns {
			conn, err := o.pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			conns[i] = conn
		}
		t.Begin()
		err := divide(ctx, connections, transactions, func(ctx context.Context, worker, n int) error {
			return commit(ctx, conns[worker], n)
		})
		if err != nil {
			return err
		}
		t.End(o.n)
		done, err := o.effects(ctx)
		if err == nil && done != o.n {
			err = fmt.Errorf("%w: %d effects, not %d", errMissing, done, o.n)
		}
		return err
	}
}

// bareMark is as long and as evenly spread as the library's marks.
func bareMark(id int64) []byte {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(id))
	sum := sha256.Sum256(number[:])
	return sum[:16]
}
