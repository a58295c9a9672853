package eventsqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// ReadOutbox implements [eventmodels.OutboxStore].
//
// Seqs are drawn under the write lock, which is held until COMMIT: a seq that
// is missing where a greater one is seen was deleted or belongs to another
// scope, and will not appear.
func (s *store) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (eventmodels.OutboxPage, error) {
	page := eventmodels.OutboxPage{Proof: eventmodels.ProofSerial}
	query, args, err := readQuery(read)
	if err != nil {
		return page, err
	}
	err = whileBusy(ctx, func() (err error) {
		page.Rows, page.Cut, err = s.scanRows(ctx, query, args, read.MaxBytes)
		return err
	})
	if err != nil {
		return eventmodels.OutboxPage{}, err
	}
	return page, nil
}

// The columns that a row is made of. The driver returns nil for an empty blob,
// too, so that NULL is asked for by itself. What cannot be sent is not read.
const (
	rowColumns = `o.seq, o.id, o.topic, o.created_at,
		o.key IS NULL, o.key, o.headers IS NULL, o.headers, o.payload IS NULL, o.payload`
	heldColumns = `o.seq, o.id, o.topic, o.created_at,
		o.key IS NULL OR h.topic IS NOT NULL, iif(h.topic IS NULL, o.key, NULL),
		o.headers IS NULL OR h.topic IS NOT NULL, iif(h.topic IS NULL, o.headers, NULL),
		o.payload IS NULL OR h.topic IS NOT NULL, iif(h.topic IS NULL, o.payload, NULL)`
	heldJoin = ` LEFT JOIN (SELECT value AS topic FROM json_each(?)) h ON h.topic = o.topic`
)

// readQuery makes one statement, for one snapshot. Gaps lie at or below the
// hint, so that their rows are the first.
func readQuery(read eventmodels.OutboxRead) (string, []any, error) {
	columns, join := rowColumns, ""
	var held []any
	if len(read.Held) > 0 {
		topics, err := json.Marshal(read.Held)
		if err != nil {
			return "", nil, fmt.Errorf("encode %d held topics: %w", len(read.Held), err)
		}
		columns, join, held = heldColumns, heldJoin, []any{string(topics)}
	}
	above := `SELECT ` + columns + ` FROM events_outbox o` + join + ` WHERE o.scope = ? AND o.seq > ?`
	args := append(held, read.Scope, read.Hint)
	if len(read.Gaps) == 0 {
		return above + ` ORDER BY o.seq LIMIT ?`, append(args, read.Limit), nil
	}
	gaps := make([][2]int64, len(read.Gaps))
	for i, g := range read.Gaps {
		gaps[i] = [2]int64{g.Lo, g.Hi}
	}
	ranges, err := json.Marshal(gaps)
	if err != nil {
		return "", nil, fmt.Errorf("encode %d gaps: %w", len(gaps), err)
	}
	// CROSS JOIN keeps the order of the join: range by range.
	inGaps := `SELECT ` + columns + ` FROM json_each(?) g CROSS JOIN events_outbox o ON o.scope = ?
		AND o.seq BETWEEN g.value ->> 0 AND g.value ->> 1` + join
	gapArgs := append([]any{string(ranges), read.Scope}, held...)
	// Each half is limited by itself: one with a limit is not flattened into
	// the sorted whole, and stops when it has enough.
	query := `SELECT * FROM (` + inGaps + ` ORDER BY o.seq LIMIT ?) UNION ALL SELECT * FROM (` + above + ` ORDER BY o.seq LIMIT ?) ORDER BY 1 LIMIT ?`
	args = append(append(append(gapArgs, read.Limit), args...), read.Limit, read.Limit)
	return query, args, nil
}

func (s *store) scanRows(ctx context.Context, query string, args []any, maxBytes int) (page []eventmodels.OutboxRow, cut bool, err error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	weight := 0
	for rows.Next() {
		var (
			r                         eventmodels.OutboxRow
			id                        string
			created                   int64
			noKey, noHeaders, noValue bool
		)
		err := rows.Scan(&r.Seq, &id, &r.Topic, &created, &noKey, &r.Key, &noHeaders, &r.Headers, &noValue, &r.Payload)
		if err != nil {
			return nil, false, err
		}
		if r.ID, err = uuid.Parse(id); err != nil {
			return nil, false, fmt.Errorf("the outbox row with seq %d has the id %q: %w", r.Seq, id, err)
		}
		r.Key, r.Headers, r.Payload = blob(r.Key, noKey), blob(r.Headers, noHeaders), blob(r.Payload, noValue)
		r.CreatedAt = time.UnixMicro(created)
		page = append(page, r)
		if weight += r.Weight(); maxBytes > 0 && weight >= maxBytes {
			return page, true, nil
		}
	}
	return page, false, rows.Err()
}

// blob tells an empty blob from NULL.
func blob(b []byte, null bool) []byte {
	if b == nil && !null {
		return []byte{}
	}
	return b
}

// deleteChunk is the number of rows that are deleted in one transaction: it
// keeps writers out for a few milliseconds.
const deleteChunk = 1000

// DeleteOutbox implements [eventmodels.OutboxStore].
func (s *store) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	for len(keys) > 0 {
		n := min(len(keys), deleteChunk)
		err := s.write(ctx, s.sweep, func(tx *sql.Tx) error { return deleteRows(ctx, tx, scope, keys[:n]) })
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// deleteRows deletes one by one, which is the fastest way: pairs in one
// statement make SQLite scan the table.
func deleteRows(ctx context.Context, tx *sql.Tx, scope string, keys []eventmodels.OutboxKey) error {
	stmt, err := tx.PrepareContext(ctx, `DELETE FROM events_outbox WHERE seq = ? AND id = ? AND scope = ?`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, k := range keys {
		if _, err := stmt.ExecContext(ctx, k.Seq, k.ID.String(), scope); err != nil {
			return err
		}
	}
	return nil
}

// ParkOutbox implements [eventmodels.OutboxStore].
func (s *store) ParkOutbox(ctx context.Context, scope string, key eventmodels.OutboxKey, reason string) error {
	return s.write(ctx, s.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO events_outbox_parked (scope, seq, id, topic, key, headers, payload, created_at, error, parked_at)
			SELECT scope, seq, id, topic, key, headers, payload, created_at, ?, ? FROM events_outbox WHERE seq = ? AND id = ? AND scope = ?
			ON CONFLICT DO NOTHING`, reason, micros(time.Now()), key.Seq, key.ID.String(), scope)
		if err != nil {
			return err
		}
		return deleteRows(ctx, tx, scope, []eventmodels.OutboxKey{key})
	})
}

// Stats implements [eventmodels.OutboxStore].
func (s *store) Stats(ctx context.Context, scope string, doneTo int64) (eventmodels.OutboxStats, error) {
	var (
		stats  eventmodels.OutboxStats
		count  eventmodels.OutboxCount
		oldest sql.NullInt64
	)
	err := whileBusy(ctx, func() error {
		return s.db.QueryRowContext(ctx, `SELECT
			count(*), coalesce(min(seq), 0), coalesce(max(seq), 0),
			coalesce((SELECT seq FROM events_outbox WHERE scope = ?1 AND seq > ?2 ORDER BY seq DESC LIMIT 1), 0),
			(SELECT count(*) FROM (SELECT 1 FROM events_outbox_parked WHERE scope = ?1 LIMIT ?3)),
			(SELECT created_at FROM events_outbox WHERE scope = ?1 AND seq > ?2 ORDER BY seq LIMIT 1)
			FROM (SELECT seq FROM events_outbox WHERE scope = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3)`, scope, doneTo, eventmodels.StatsLimit).
			Scan(&count.Counted, &count.First, &count.Last, &count.Highest, &stats.Parked, &oldest)
	})
	if err != nil {
		return eventmodels.OutboxStats{}, err
	}
	stats.Rows = count.Rows()
	if oldest.Valid {
		stats.OldestAge = max(time.Since(time.UnixMicro(oldest.Int64)), 0)
	}
	return stats, nil
}
