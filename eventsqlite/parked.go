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

// listParked sorts all parked rows of the scope: they are few, and no index is
// worth what it would cost each of them.
const listParked = `SELECT seq, id, topic, key IS NULL, key, coalesce(length(payload), 0), created_at, error, parked_at
	FROM events_outbox_parked
	WHERE scope = ?1 AND (?2 IS NULL OR (parked_at, seq, id) < (?2, ?3, ?4))
	ORDER BY parked_at DESC, seq DESC, id DESC
	LIMIT ?5`

// ListParked implements [eventmodels.OutboxStore].
func (s *store) ListParked(ctx context.Context, scope string, after eventmodels.ParkedKey, limit int) ([]eventmodels.ParkedRow, error) {
	var at any
	if !after.ParkedAt.IsZero() {
		at = micros(after.ParkedAt)
	}
	var parked []eventmodels.ParkedRow
	err := whileBusy(ctx, func() (err error) {
		parked, err = s.scanParked(ctx, scope, at, after.Seq, after.ID.String(), limit)
		return err
	})
	return parked, err
}

func (s *store) scanParked(ctx context.Context, args ...any) (parked []eventmodels.ParkedRow, err error) {
	rows, err := s.db.QueryContext(ctx, listParked, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			r                 eventmodels.ParkedRow
			id                string
			noKey             bool
			created, parkedAt int64
		)
		if err := rows.Scan(&r.Seq, &id, &r.Topic, &noKey, &r.Key, &r.PayloadSize, &created, &r.Error, &parkedAt); err != nil {
			return nil, err
		}
		if r.ID, err = uuid.Parse(id); err != nil {
			return nil, fmt.Errorf("the parked row with seq %d has the id %q: %w", r.Seq, id, err)
		}
		r.Key, r.CreatedAt, r.ParkedAt = blob(r.Key, noKey), time.UnixMicro(created), time.UnixMicro(parkedAt)
		parked = append(parked, r)
	}
	return parked, rows.Err()
}

// RequeueParked implements [eventmodels.OutboxStore].
func (s *store) RequeueParked(ctx context.Context, scope string, ids []uuid.UUID) (n int, err error) {
	list, err := idList(ids)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, s.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
			SELECT scope, id, topic, key, headers, payload, created_at FROM events_outbox_parked
			WHERE scope = ?1 AND id IN (SELECT value FROM json_each(?2)) ORDER BY seq`, scope, list)
		if err != nil {
			return err
		}
		n, err = deleteParked(ctx, tx, scope, list)
		return err
	})
	return n, err
}

// DiscardParked implements [eventmodels.OutboxStore].
func (s *store) DiscardParked(ctx context.Context, scope string, ids []uuid.UUID) (n int, err error) {
	list, err := idList(ids)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, s.db, func(tx *sql.Tx) error {
		n, err = deleteParked(ctx, tx, scope, list)
		return err
	})
	return n, err
}

func deleteParked(ctx context.Context, tx *sql.Tx, scope, list string) (int, error) {
	result, err := tx.ExecContext(ctx, `DELETE FROM events_outbox_parked WHERE scope = ?1 AND id IN (SELECT value FROM json_each(?2))`, scope, list)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// idList is ids as SQLite reads a list from one parameter.
func idList(ids []uuid.UUID) (string, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	list, err := json.Marshal(texts)
	if err != nil {
		return "", fmt.Errorf("encode %d ids: %w", len(ids), err)
	}
	return string(list), nil
}
