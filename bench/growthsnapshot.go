package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

const (
	snapshotRate  = 1000 // rows that come a second while a snapshot is held
	snapshotFills = 3    // how many times the rows of other trials are drained afterwards
)

// growthSnapshot drains rows after somebody has kept a transaction open for
// minutes, with a relay that has worked all the time.
func (b bench) growthSnapshot() compare.Measurement {
	return compare.Measurement{
		Name:  "growth/snapshot",
		Title: fmt.Sprintf("%d rows moved to Kafka after %v with %d rows a second, in which somebody holds a snapshot", snapshotFills*b.size.grown, b.size.held, snapshotRate),
		Unit:  "rows",
		Axis:  "open transaction (0: none, 1: reads, 2: has written)",
		Notes: []string{
			"Timed from the commit of the rows until the last is deleted. in transit: from the commit of each tenth of a second's rows until the last of them is deleted, over all of the time.",
			"The transaction that has written has put an event into the outbox.",
		},
		Goals:  []compare.Goal{compare.SteadyWithin(0.2)},
		Rounds: b.size.crowdedRounds,
		Lasts:  3 * b.size.held, // for the three of them
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			r, err := b.openRelaying(ctx, c, 500, b.size.grown)
			if err != nil {
				return nil, err
			}
			var contenders []compare.Contender
			for i, name := range []string{"no transaction", "a transaction that reads", "a transaction that has written"} {
				contenders = append(contenders, compare.Contender{
					Name: ours + ", " + name, Series: ours, Size: float64(i),
					Run: func(ctx context.Context, t *compare.Trial) error { return r.heldOpen(ctx, t, i) },
				})
			}
			return contenders, nil
		},
	}
}

// heldOpen is a trial.
func (r *relaying) heldOpen(ctx context.Context, t *compare.Trial, transaction int) error {
	topic, err := r.servers.Topic(ctx, &t.Cleanup, "growth", partitions)
	if err != nil {
		return err
	}
	if _, err := r.conn.Exec(ctx, "TRUNCATE events_outbox"); err != nil {
		return err
	}
	if transaction > 0 {
		if err := r.openTransaction(ctx, &t.Cleanup, transaction == 2); err != nil {
			return err
		}
	}
	db, err := openDB(ctx, &t.Cleanup, r.dsn)
	if err != nil {
		return err
	}
	if err := startRelay(ctx, &t.Cleanup, r.newLibrary(&t.Cleanup, db), r.batchSize); err != nil {
		return err
	}
	var transit []time.Duration
	const pause = time.Second / 10
	for next, end := time.Now(), time.Now().Add(r.size.held); next.Before(end); next = next.Add(pause) {
		time.Sleep(time.Until(next))
		var committing time.Time
		err := r.pass(ctx, func() { committing = time.Now() }, topic, fillOurs+" LIMIT "+fmt.Sprint(snapshotRate/10), 1)
		if err != nil {
			return err
		}
		transit = append(transit, time.Since(committing))
	}
	t.Latencies("in transit", transit)
	if err := r.pass(ctx, t.Begin, topic, fillOurs, snapshotFills); err != nil {
		return err
	}
	t.End(snapshotFills * r.rows)
	return nil
}

// pass commits the rows of several fills, calling committing before COMMIT, and
// waits until the relay has deleted the last one.
func (r *relaying) pass(ctx context.Context, committing func(), topic, fill string, fills int) error {
	ctx, cancel := patiently(ctx)
	defer cancel()
	var last int64
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		for range fills {
			if _, err := tx.Exec(ctx, fill, []string{topic}); err != nil {
				return err
			}
		}
		err := tx.QueryRow(ctx, "SELECT last_value FROM events_outbox_seq_seq").Scan(&last)
		committing()
		return err
	})
	if err != nil {
		return err
	}
	return poll(ctx, func(ctx context.Context) (gone bool, err error) {
		err = r.conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM events_outbox WHERE scope = '' AND seq = $1)", last).Scan(&gone)
		return gone, err
	})
}
