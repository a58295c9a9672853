package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

const (
	onceBatch       = 500 // events in a transaction
	onceBatchesBusy = 4   // transactions at a time
)

// onceBatches measures exactly-once handling in batches: a transaction per
// batch, with its marks and one row of effect per event.
func (b bench) onceBatches() compare.Measurement {
	return compare.Measurement{
		Name:  "once/batches",
		Title: fmt.Sprintf("%d events handled exactly once in batches of %d, an effect of one row each", b.size.batched, onceBatch),
		Unit:  "events",
		Goals: []compare.Goal{compare.RatioAtLeast(unnest(onceBatchesBusy), 0.6)},
		Notes: []string{
			fmt.Sprintf("events reads them from Kafka, WithBatch(%d), WithConcurrency(%d) and WithQueueDepthLimit(%d), and inserts the effects of a batch by one INSERT of unnest; timed from the first handler until all effects are committed.",
				onceBatch, onceBatchesBusy, onceBatch*(onceBatchesBusy+1)),
			"unnest: BEGIN, an INSERT of 500 marks, an INSERT of 500 effects, both of unnest, and COMMIT in one pgx.Batch, without Kafka.",
			"Where the CPU time of events goes, by profile: decoding the JSON of the events 44 %, which unnest does not do; BEGIN with the marks 6 %, computing and comparing the marks 5 %, the handler's INSERT 5 %; " +
				"reading attributes 8 %, the engine 6 %; the garbage collector's own goroutines 5 %; franz-go and the rest 21 %.",
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			o, err := b.openOnce(ctx, c, b.size.batched)
			if err != nil {
				return nil, err
			}
			return []compare.Contender{
				{Name: ours, Run: o.eventBatches},
				{Name: unnest(1), Peer: true, Run: o.bareBatches(1)},
				{Name: unnest(onceBatchesBusy), Peer: true, Run: o.bareBatches(onceBatchesBusy)},
			}, nil
		},
	}
}

func unnest(connections int) string { return fmt.Sprintf("unnest, connections: %d", connections) }

const (
	insertEffects   = `INSERT INTO effects (order_id, cents) SELECT * FROM unnest($1::bigint[], $2::bigint[])`
	insertBareMarks = `INSERT INTO bare_marks (k) SELECT * FROM unnest($1::bytea[]) ON CONFLICT DO NOTHING`
)

func (o *onceOnly) eventBatches(ctx context.Context, t *compare.Trial) error {
	return o.consumed(ctx, t, func(lib *eventpg.Library, group events.ConsumerGroupName, count *counter) {
		lib.ConsumeExactlyOnce(group, eventmodels.OnFailureBlock, "bench", eventpg.BindTopic[order](o.topic).BatchHandlerTx(
			func(ctx context.Context, tx *eventpg.Tx, batch []eventmodels.Event[order]) error {
				ids, cents := make([]int64, len(batch)), make([]int64, len(batch))
				for i, e := range batch {
					count.add()
					ids[i], cents[i] = e.Payload.ID, e.Payload.Cents
				}
				_, err := tx.ExecContext(ctx, insertEffects, ids, cents)
				return err
			}),
			events.WithBatch(onceBatch), events.WithConcurrency(onceBatchesBusy), events.WithQueueDepthLimit(onceBatch*(onceBatchesBusy+1)))
	})
}

func (o *onceOnly) bareBatches(connections int) func(context.Context, *compare.Trial) error {
	return o.bare(connections, o.n/onceBatch, func(ctx context.Context, conn *pgxpool.Conn, n int) error {
		var (
			marks       = make([][]byte, onceBatch)
			ids, amount = make([]int64, onceBatch), make([]int64, onceBatch)
		)
		for i := range onceBatch {
			id := int64(n*onceBatch + i)
			marks[i], ids[i], amount[i] = bareMark(id), id, id
		}
		var batch pgx.Batch
		batch.Queue("BEGIN")
		batch.Queue(insertBareMarks, marks)
		batch.Queue(insertEffects, ids, amount)
		batch.Queue("COMMIT")
		return conn.SendBatch(ctx, &batch).Close()
	})
}
