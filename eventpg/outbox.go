package eventpg

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed46dd6f11/events/eventmodels"
)

// readOutbox is one statement, and so one snapshot, and always returns the row
// of the snapshot, and behind it those of the outbox; without these if one of
// the blockers has ended in that snapshot.
//
// Each gap is looked up by itself, from its lower end and no further than the
// limit, so that neither the width of a gap nor the dead rows between two of
// them cost anything. A held topic's values are not even fetched from where
// long values are kept.
//
// # Drawn
//
// What the relay needs is a bound that is above the xid of every transaction
// that has one. pg_snapshot_xmax is none: it is one above the highest xid that
// has ended, and a transaction that runs may have a higher one. age(x), asked
// in a transaction without an xid, is the distance from x to the xid that will
// be assigned next. The sum of both is that xid, and reading it uses none up.
// (PostgreSQL shows a new xid to snapshots before it lets the next one be read; and once
// all that are below it have ended, xmin reaches it without anybody drawing
// it.)
//
// # Running
//
// pg_snapshot_xip has all transactions that run with an xid below xmax, in
// order. Those within a transaction (savepoints) are not in it, and need not
// be: the insert draws the xid of the transaction itself.
const readOutbox = `
WITH at AS MATERIALIZED (
    SELECT s.snapshot, EXISTS (
        SELECT FROM unnest($7::xid8[]) AS blocker (xid) WHERE pg_visible_in_snapshot(blocker.xid, s.snapshot)) AS ended
    FROM (SELECT pg_current_snapshot() AS snapshot) AS s)
SELECT pg_snapshot_xmin(snapshot), pg_snapshot_xmax(snapshot), age(pg_snapshot_xmax(snapshot)::xid),
       ARRAY(SELECT pg_snapshot_xip(snapshot)), ended,
       NULL::bigint, NULL::uuid, NULL::text, NULL::bytea, NULL::bytea, NULL::bytea, NULL::timestamptz
FROM at
UNION ALL
(SELECT NULL, NULL, NULL, NULL, NULL, p.seq, p.id, p.topic,
       CASE WHEN NOT p.topic = ANY ($6::text[]) THEN p.key END,
       CASE WHEN NOT p.topic = ANY ($6::text[]) THEN p.headers END,
       CASE WHEN NOT p.topic = ANY ($6::text[]) THEN p.payload END,
       p.created_at
FROM (
    SELECT g.*
    FROM unnest($2::bigint[], $3::bigint[]) AS gap (lo, hi)
    CROSS JOIN LATERAL (
        SELECT o.* FROM events_outbox AS o
        WHERE o.scope = $1 AND o.seq BETWEEN gap.lo AND gap.hi
        ORDER BY o.seq
        LIMIT $5) AS g
    UNION ALL
    (SELECT o.* FROM events_outbox AS o
     WHERE o.scope = $1 AND o.seq > $4
     ORDER BY o.seq
     LIMIT $5)
) AS p
WHERE NOT (SELECT ended FROM at)
ORDER BY p.seq
LIMIT $5)`

// ReadOutbox implements [eventmodels.OutboxStore].
func (s *store) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (page eventmodels.OutboxPage, err error) {
	lo, hi := make([]int64, len(read.Gaps)), make([]int64, len(read.Gaps))
	for i, gap := range read.Gaps {
		lo[i], hi[i] = gap.Lo, gap.Hi
	}
	held := read.Held
	if held == nil {
		held = []string{} // and not NULL, with which the comparison would be neither true nor false
	}
	blockers := read.Blockers
	if blockers == nil {
		blockers = []uint64{}
	}
	err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, readOutbox, read.Scope, lo, hi, read.Hint, int64(read.Limit), held, blockers)
		if err != nil {
			return err
		}
		page, err = collect(rows, read.MaxBytes)
		return err
	})
	if errors.Is(err, errUnordered) {
		read.MaxBytes = 0
		return s.ReadOutbox(ctx, read)
	}
	if err != nil {
		return eventmodels.OutboxPage{}, err
	}
	return page, nil
}

// errUnordered says that a page that was cut is not the beginning of the whole.
var errUnordered = errors.New("the rows of the outbox did not come in the order of seq")

// errNoSnapshot says that the row of the snapshot was not there.
var errNoSnapshot = errors.New("the read of the outbox has not said which snapshot it had")

// collect leaves rows that are too much to the next read. They are still
// received, one after the other, but not kept: a read asks for as many as would
// fit if they weighed what the last ones did, so that this is rare.
//
// The union has kept the order in every plan that was seen, and promises
// nothing.
func collect(rows pgx.Rows, maxBytes int) (page eventmodels.OutboxPage, err error) {
	defer rows.Close()
	page.Proof = eventmodels.ProofXID
	weight, last := 0, int64(0)
	// Outside of the loop, since Scan makes them escape.
	var (
		next int32 // how far the next xid is above xmax
		id   pgtype.UUID
		row  eventmodels.OutboxRow
	)
	snapshot := []any{&page.Xmin, &page.Xmax, &next, &page.Running, &page.Ended, nil, nil, nil, nil, nil, nil, nil}
	into := []any{nil, nil, nil, nil, nil, &row.Seq, &id, &row.Topic, &row.Key, &row.Headers, &row.Payload, &row.CreatedAt}
	for rows.Next() {
		switch {
		case rows.RawValues()[0] != nil:
			if err := rows.Scan(snapshot...); err != nil {
				return page, err
			}
			page.Drawn = uint64(int64(page.Xmax) + int64(next))
			continue
		case page.Cut:
			var later int64
			if err := rows.Scan(nil, nil, nil, nil, nil, &later, nil, nil, nil, nil, nil, nil); err != nil {
				return page, err
			}
			if later < last {
				return page, errUnordered
			}
			continue
		}
		row = eventmodels.OutboxRow{}
		if err := rows.Scan(into...); err != nil {
			return page, err
		}
		row.ID = id.Bytes
		page.Rows = append(page.Rows, row)
		last, weight = max(last, row.Seq), weight+row.Weight()
		page.Cut = maxBytes > 0 && weight >= maxBytes
	}
	if err := rows.Err(); err != nil {
		return page, err
	}
	if page.Xmax == 0 {
		return page, errNoSnapshot
	}
	if bySeq := func(a, b eventmodels.OutboxRow) int { return cmp.Compare(a.Seq, b.Seq) }; !slices.IsSortedFunc(page.Rows, bySeq) {
		slices.SortFunc(page.Rows, bySeq)
	}
	return page, nil
}

// deleteOutbox deletes in the order of the array, so that two processes that
// delete the same rows do not wait for each other.
//
// The limit makes the server look up each key by itself. A join it plans while
// the outbox is small, as a scan of the scope that compares each row with each
// key, and keeps to that when there are 100,000 rows. Rows are never updated, and
// what the snapshot shows stays where it is.
const deleteOutbox = `
DELETE FROM events_outbox
WHERE ctid = ANY (ARRAY(
    SELECT found.ctid
    FROM unnest($2::bigint[], $3::uuid[]) AS k (seq, id)
    CROSS JOIN LATERAL (
        SELECT o.ctid FROM events_outbox AS o
        WHERE o.scope = $1 AND o.seq = k.seq AND o.id = k.id
        LIMIT 1) AS found))`

// DeleteOutbox implements [eventmodels.OutboxStore].
func (s *store) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	if len(keys) == 0 {
		return nil
	}
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b eventmodels.OutboxKey) int { return cmp.Compare(a.Seq, b.Seq) })
	seqs, ids := make([]int64, len(keys)), make([]pgtype.UUID, len(keys))
	for i, key := range sorted {
		seqs[i], ids[i] = key.Seq, uuidOf(key.ID)
	}
	_, err := s.exec(ctx, deleteOutbox, scope, seqs, ids)
	return err
}

// parkOutbox moves, in one statement. A row that is parked already, as after a
// table was restored, only leaves the outbox: an error would come again for ever,
// and keep what is behind it from being parked.
const parkOutbox = `
WITH moved AS (
    DELETE FROM events_outbox WHERE scope = $1 AND seq = $2 AND id = $3
    RETURNING scope, seq, id, topic, key, headers, payload, created_at)
INSERT INTO events_outbox_parked (scope, seq, id, topic, key, headers, payload, created_at, error, parked_at)
SELECT scope, seq, id, topic, key, headers, payload, created_at, $4::text, clock_timestamp() FROM moved
ON CONFLICT DO NOTHING`

// ParkOutbox implements [eventmodels.OutboxStore].
func (s *store) ParkOutbox(ctx context.Context, scope string, key eventmodels.OutboxKey, reason string) error {
	_, err := s.exec(ctx, parkOutbox, scope, key.Seq, uuidOf(key.ID), reason)
	return err
}

// outboxStats takes the row with the smallest seq for the oldest.
const outboxStats = `
WITH counted AS MATERIALIZED (
    SELECT seq, created_at FROM events_outbox WHERE scope = $1 AND seq > $2 ORDER BY seq LIMIT $3)
SELECT (SELECT count(*) FROM counted),
       coalesce((SELECT min(seq) FROM counted), 0), coalesce((SELECT max(seq) FROM counted), 0),
       coalesce((SELECT seq FROM events_outbox WHERE scope = $1 AND seq > $2 ORDER BY seq DESC LIMIT 1), 0),
       (SELECT count(*) FROM (SELECT FROM events_outbox_parked WHERE scope = $1 LIMIT $3) AS parked),
       coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM counted ORDER BY seq LIMIT 1), 0)`

// Stats implements [eventmodels.OutboxStore].
func (s *store) Stats(ctx context.Context, scope string, doneTo int64) (stats eventmodels.OutboxStats, err error) {
	var (
		count   eventmodels.OutboxCount
		seconds float64
	)
	err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, outboxStats, scope, doneTo, int64(eventmodels.StatsLimit)).
			Scan(&count.Counted, &count.First, &count.Last, &count.Highest, &stats.Parked, &seconds)
	})
	stats.Rows = count.Rows()
	stats.OldestAge = max(0, time.Duration(seconds*float64(time.Second)))
	return stats, err
}
