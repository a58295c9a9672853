package eventpg

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed46dd6f11/events/eventmodels"
)

// listParked sorts all parked rows of the scope: they are few, and no index is
// worth what it would cost each of them.
const listParked = `
SELECT seq, id, topic, key, coalesce(octet_length(payload), 0), created_at, error, parked_at
FROM events_outbox_parked
WHERE scope = $1 AND ($2::timestamptz IS NULL OR (parked_at, seq, id) < ($2::timestamptz, $3::bigint, $4::uuid))
ORDER BY parked_at DESC, seq DESC, id DESC
LIMIT $5`

// ListParked implements [eventmodels.OutboxStore].
func (s *store) ListParked(ctx context.Context, scope string, after eventmodels.ParkedKey, limit int) (parked []eventmodels.ParkedRow, err error) {
	var at *time.Time
	if !after.ParkedAt.IsZero() {
		at = &after.ParkedAt
	}
	err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, listParked, scope, at, after.Seq, uuidOf(after.ID), int64(limit))
		if err != nil {
			return err
		}
		parked, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r eventmodels.ParkedRow, err error) {
			var id pgtype.UUID
			err = row.Scan(&r.Seq, &id, &r.Topic, &r.Key, &r.PayloadSize, &r.CreatedAt, &r.Error, &r.ParkedAt)
			r.ID = id.Bytes
			return r, err
		})
		return err
	})
	return parked, err
}

// requeueParked moves in one statement. The condition gives the transaction its
// xid before it draws a seq; see insertOutbox.
const requeueParked = `
WITH moved AS (
    DELETE FROM events_outbox_parked WHERE scope = $1 AND id = ANY ($2::uuid[])
    RETURNING seq, id, topic, key, headers, payload, created_at)
INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
SELECT $1::text, id, topic, key, headers, payload, created_at FROM moved
WHERE pg_current_xact_id() IS NOT NULL
ORDER BY seq`

// RequeueParked implements [eventmodels.OutboxStore].
func (s *store) RequeueParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error) {
	tag, err := s.exec(ctx, requeueParked, scope, uuidsOf(ids))
	return int(tag.RowsAffected()), err
}

const discardParked = `DELETE FROM events_outbox_parked WHERE scope = $1 AND id = ANY ($2::uuid[])`

// DiscardParked implements [eventmodels.OutboxStore].
func (s *store) DiscardParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error) {
	tag, err := s.exec(ctx, discardParked, scope, uuidsOf(ids))
	return int(tag.RowsAffected()), err
}

func uuidsOf(ids []uuid.UUID) []pgtype.UUID {
	all := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		all[i] = uuidOf(id)
	}
	return all
}
