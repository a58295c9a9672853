package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

// The measurements of this file drain the same rows from outboxes that hold more
// and more of something else.

// crowded is one size of such an outbox.
type crowded struct {
	*relaying
	more  int
	topic string
	// before and behind put something into the table before and behind the
	// rows that are drained; nil: nothing.
	before, behind func(*crowded, context.Context, *compare.Trial) error
}

// growthBacklog has rows behind those that are drained.
func (b bench) growthBacklog() compare.Measurement {
	return b.crowdedMeasurement(compare.Measurement{
		Name:  "growth/outbox",
		Title: fmt.Sprintf("the first %d rows of %d bytes of an outbox moved to Kafka, 500 rows a read, with more and more rows behind them", b.size.grown, relayedBytes),
		Axis:  "rows behind",
		Goals: []compare.Goal{compare.SteadyWithin(0.2)},
	}, b.size.crowds, crowded{behind: (*crowded).backlog})
}

// growthDead has rows before those that are drained which were deleted, but not
// yet for a transaction that is open.
func (b bench) growthDead() compare.Measurement {
	return b.crowdedMeasurement(compare.Measurement{
		Name:  "growth/dead",
		Title: fmt.Sprintf("a relay that begins while a transaction with an event is open: %d rows moved to Kafka, behind more and more that were deleted since", b.size.grown),
		Axis:  "deleted rows",
		Notes: []string{
			"No relay has recorded that the rows are done. The transaction stays open to the end; with 0 rows there is none.",
			"What the deleted rows cost is the first read, which goes through them once, as no vacuum can remove them while the transaction is open: see read. After it the rate is that without them.",
		},
		Goals: []compare.Goal{compare.SteadyWithin(0.2)},
	}, b.size.dead, crowded{before: (*crowded).deadRows})
}

func (b bench) crowdedMeasurement(m compare.Measurement, sizes [3]int, of crowded) compare.Measurement {
	m.Unit = "rows"
	m.Rounds = b.size.crowdedRounds
	m.Notes = append(m.Notes,
		"Timed from CatchUpProduce until the last of the rows is deleted; first event: until the first of them is in Kafka; read: 500 rows by the relay's statement, from the beginning, before that.")
	m.Open = func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
		r, err := b.openRelaying(ctx, c, 500, b.size.grown)
		if err != nil {
			return nil, err
		}
		var contenders []compare.Contender
		for _, n := range sizes {
			s := of
			s.relaying, s.more = r, n
			contenders = append(contenders, compare.Contender{
				Name: fmt.Sprintf("%s, %s: %d", ours, m.Axis, n), Series: ours, Size: float64(n), Run: s.drainFirst,
			})
		}
		return contenders, nil
	}
	return m
}

// drainFirst is a trial.
func (s *crowded) drainFirst(ctx context.Context, t *compare.Trial) (err error) {
	if s.topic, err = s.servers.Topic(ctx, &t.Cleanup, "growth", partitions); err != nil {
		return err
	}
	if _, err := s.conn.Exec(ctx, "TRUNCATE events_outbox"); err != nil {
		return err
	}
	if s.before != nil {
		if err := s.before(s, ctx, t); err != nil {
			return err
		}
	}
	var last int64
	if _, err := s.conn.Exec(ctx, fillOurs, []string{s.topic}); err != nil {
		return err
	}
	if err := s.conn.QueryRow(ctx, "SELECT last_value FROM events_outbox_seq_seq").Scan(&last); err != nil {
		return err
	}
	if s.behind != nil {
		if err := s.behind(s, ctx, t); err != nil {
			return err
		}
	}
	if _, err := s.conn.Exec(ctx, "VACUUM (ANALYZE) events_outbox"); err != nil {
		return err
	}
	if err := s.servers.Checkpoint(ctx); err != nil {
		return err
	}
	db, err := openDB(ctx, &t.Cleanup, s.dsn)
	if err != nil {
		return err
	}
	if err := timeReads(ctx, t, db); err != nil {
		return err
	}
	lib := s.newLibrary(&t.Cleanup, db)
	ctx, cancel := patiently(ctx)
	defer cancel()
	t.Begin()
	began := time.Now()
	if err := startRelay(ctx, &t.Cleanup, lib, s.batchSize); err != nil {
		return err
	}
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		records, err := s.servers.Records(ctx, s.topic)
		return records > 0, err
	})
	if err != nil {
		return err
	}
	t.Latencies("first event", []time.Duration{time.Since(began)})
	err = poll(ctx, func(ctx context.Context) (gone bool, err error) {
		err = s.conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM events_outbox WHERE scope = '' AND seq = $1)", last).Scan(&gone)
		return gone, err
	})
	if err != nil {
		return err
	}
	t.End(s.rows)
	return nil
}

// timeReads reads the beginning of an outbox some times.
func timeReads(ctx context.Context, t *compare.Trial, db *eventpg.DB) error {
	store, err := db.OpenOutbox(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	const reads = 5
	took := make([]time.Duration, reads)
	for i := range took {
		began := time.Now()
		if _, err := store.ReadOutbox(ctx, eventmodels.OutboxRead{Limit: 500}); err != nil {
			return err
		}
		took[i] = time.Since(began)
	}
	t.Latencies("read", took)
	return nil
}

// backlog puts in more rows.
func (s *crowded) backlog(ctx context.Context, _ *compare.Trial) error {
	_, err := s.conn.Exec(ctx, `
INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
SELECT f.scope, f.id, $2::text, f.key, f.headers, f.payload, f.created_at
FROM generate_series(1, $1::bigint / (SELECT count(*) FROM filled)) AS n CROSS JOIN filled AS f`, s.more, s.topic)
	return err
}

// deadRows leaves rows that were deleted, and a transaction that could still see
// them, with an event of its own.
func (s *crowded) deadRows(ctx context.Context, t *compare.Trial) error {
	if s.more == 0 {
		return nil
	}
	if err := s.openTransaction(ctx, &t.Cleanup, true); err != nil {
		return err
	}
	if err := s.backlog(ctx, t); err != nil {
		return err
	}
	_, err := s.conn.Exec(ctx, "DELETE FROM events_outbox")
	return err
}

// openTransaction opens one that stays open until the cleanup. It has seen the
// outbox, and has written to it if it writes.
func (r *relaying) openTransaction(ctx context.Context, c *compare.Cleanup, writes bool) error {
	conn, err := pgx.Connect(ctx, r.dsn)
	if err != nil {
		return err
	}
	c.Defer(conn.Close)
	statement := "SELECT count(*) FROM (SELECT FROM events_outbox LIMIT 1) AS seen"
	if writes {
		statement = `
INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
SELECT scope, id, 'late', key, headers, payload, created_at FROM filled LIMIT 1`
	}
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return err
}
