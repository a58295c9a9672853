package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventpg"
)

const relayedBytes = 250

// relay measures how fast an outbox that has filled up is moved to Kafka.
func (b bench) relay(batchSize int) compare.Measurement {
	var goals []compare.Goal
	if batchSize >= 5000 {
		goals = []compare.Goal{compare.RateAtLeast(100_000), compare.AllocationsAtMost(8)}
	}
	return compare.Measurement{
		Name:  fmt.Sprintf("relay/%d", batchSize),
		Title: fmt.Sprintf("an outbox of %d rows of %d bytes moved to Kafka, %d rows a read", b.size.rows, relayedBytes, batchSize),
		Unit:  "rows",
		Notes: []string{
			"Timed from CatchUpProduce, or the first SELECT, until the outbox is empty. The table was vacuumed before, and a checkpoint made.",
			"bare loop: SELECT of the oldest rows, franz-go's ProduceSync of them all, DELETE of their keys, over and over. " +
				"It has no lease, no headers and no regard for transactions that commit late.",
			forwarderNote,
		},
		Goals: goals,
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			r, err := b.openRelaying(ctx, c, batchSize, b.size.rows)
			if err != nil {
				return nil, err
			}
			return []compare.Contender{
				{Name: ours, Run: r.events},
				{Name: "bare loop", Peer: true, Run: r.bare},
				{Name: forwarderName, Peer: true, Run: r.forwarder},
			}, nil
		},
	}
}

// relaying is what the contenders of relay share: rows as the library writes
// them, to fill the outboxes with.
type relaying struct {
	bench
	batchSize int
	rows      int
	dsn       string
	conn      *pgx.Conn
}

const fillOurs = `
INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
SELECT scope, id, ($1::text[])[1 + seq % cardinality($1::text[])], key, headers, payload, created_at FROM filled ORDER BY seq`

const fillBare = `INSERT INTO bare_outbox (topic, key, payload) SELECT $1::text, key, payload FROM filled ORDER BY seq`

func (b bench) openRelaying(ctx context.Context, c *compare.Cleanup, batchSize, rows int) (*relaying, error) {
	dsn, err := b.servers.Database(ctx, c, "relay")
	if err != nil {
		return nil, err
	}
	if err := b.fillOutbox(ctx, dsn, rows); err != nil {
		return nil, err
	}
	r := &relaying{bench: b, batchSize: batchSize, rows: rows, dsn: dsn}
	if r.conn, err = pgx.Connect(ctx, dsn); err != nil {
		return nil, err
	}
	c.Defer(r.conn.Close)
	_, err = r.conn.Exec(ctx, `
		CREATE TABLE filled AS SELECT * FROM events_outbox;
		ALTER TABLE filled ADD PRIMARY KEY (seq);
		CREATE TABLE bare_outbox (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key bytea, payload bytea);`)
	return r, err
}

// fillOutbox commits the rows through the library, without relaying them.
func (b bench) fillOutbox(ctx context.Context, dsn string, rows int) (err error) {
	var c compare.Cleanup
	defer func() { err = errors.Join(err, c.Run(ctx)) }()
	db, err := openDB(ctx, &c, dsn)
	if err != nil {
		return err
	}
	lib := eventpg.NewLibrary()
	lib.SetLazyTxProduce(true)
	lib.Configure(db, nil, false, nil, nil, b.servers.Brokers)
	c.Defer(lib.Shutdown)
	const rowsPerTransaction = 5000
	payloads, keys := newPayloads(relayedBytes), newKeys()
	for first := 0; first < rows; first += rowsPerTransaction {
		err := db.Transact(ctx, func(tx *eventpg.Tx) error {
			for i := first; i < min(first+rowsPerTransaction, rows); i++ {
				tx.Produce(encodedEvent{topic: "orders", key: keys[i%variety], contentType: contentTypeRaw, payload: payloads[i%variety]})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill puts all rows into one of the two outboxes.
func (r *relaying) fill(ctx context.Context, table, statement string, topic any) error {
	for _, s := range []string{"TRUNCATE " + table, statement, "VACUUM (ANALYZE) " + table} {
		var args []any
		if s == statement {
			args = append(args, topic)
		}
		if _, err := r.conn.Exec(ctx, s, args...); err != nil {
			return err
		}
	}
	return r.servers.Checkpoint(ctx)
}

// check compares what is in the topics with what should be there.
func (r *relaying) check(ctx context.Context, t *compare.Trial, topics []string, rows int) error {
	records, err := r.servers.Records(ctx, topics...)
	switch {
	case err != nil:
		return err
	case records < rows:
		return fmt.Errorf("%w: %d of %d rows have reached Kafka", errMissing, records, rows)
	case records > rows:
		t.Note("%d rows have reached Kafka twice", records-rows)
	}
	return nil
}

func (r *relaying) events(ctx context.Context, t *compare.Trial) error {
	topic, err := r.servers.Topic(ctx, &t.Cleanup, "relay", partitions)
	if err != nil {
		return err
	}
	return r.drain(ctx, t, []string{topic})
}

// drain is a trial of the library with rows of these topics in turn.
func (r *relaying) drain(ctx context.Context, t *compare.Trial, topics []string) error {
	before, err := r.servers.Records(ctx, topics...)
	if err != nil {
		return err
	}
	if err := r.fill(ctx, "events_outbox", fillOurs, topics); err != nil {
		return err
	}
	db, err := openDB(ctx, &t.Cleanup, r.dsn)
	if err != nil {
		return err
	}
	lib := r.newLibrary(&t.Cleanup, db)
	ctx, cancel := patiently(ctx)
	defer cancel()
	t.Begin()
	if err := startRelay(ctx, &t.Cleanup, lib, r.batchSize); err != nil {
		return err
	}
	if err := poll(ctx, r.drained); err != nil {
		return err
	}
	t.End(r.rows)
	return r.check(ctx, t, topics, before+r.rows)
}

// drained looks at the row that was filled in last before it looks at all:
// skipping the many that are deleted is work that others would wait for.
func (r *relaying) drained(ctx context.Context) (bool, error) {
	var left bool
	const last = `SELECT EXISTS (SELECT FROM events_outbox WHERE scope = '' AND seq = (SELECT last_value FROM events_outbox_seq_seq))`
	if err := r.conn.QueryRow(ctx, last).Scan(&left); err != nil || left {
		return false, err
	}
	err := r.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM events_outbox WHERE scope = '')`).Scan(&left)
	return !left, err
}

func (r *relaying) bare(ctx context.Context, t *compare.Trial) error {
	topic, err := r.servers.Topic(ctx, &t.Cleanup, "relay-bare", partitions)
	if err != nil {
		return err
	}
	if err := r.fill(ctx, "bare_outbox", fillBare, topic); err != nil {
		return err
	}
	client, err := r.franzClient(&t.Cleanup)
	if err != nil {
		return err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	t.Begin()
	moved := 0
	for {
		n, err := r.moveBatch(ctx, client)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		moved += n
	}
	t.End(moved)
	return r.check(ctx, t, []string{topic}, r.rows)
}

// moveBatch is one turn of the bare loop.
func (r *relaying) moveBatch(ctx context.Context, client *kgo.Client) (int, error) {
	rows, err := r.conn.Query(ctx, `SELECT seq, topic, key, payload FROM bare_outbox ORDER BY seq LIMIT $1`, r.batchSize)
	if err != nil {
		return 0, err
	}
	var (
		seqs    []int64
		records []*kgo.Record
	)
	for rows.Next() {
		var seq int64
		record := new(kgo.Record)
		if err := rows.Scan(&seq, &record.Topic, &record.Key, &record.Value); err != nil {
			return 0, err
		}
		seqs, records = append(seqs, seq), append(records, record)
	}
	if err := rows.Err(); err != nil || len(seqs) == 0 {
		return 0, err
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return 0, err
	}
	_, err = r.conn.Exec(ctx, `DELETE FROM bare_outbox WHERE seq = ANY($1)`, seqs)
	return len(seqs), err
}
