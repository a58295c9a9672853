package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Parked are the methods of an [eventmodels.OutboxStore] that are about parked
// rows. Their statements are the same everywhere.
type Parked struct {
	Connections *Connections
	// Insert is that of the backend's dialect.
	Insert func(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error
	// Explain adds to errors what to do.
	Explain func(error) error
}

// Lists sort all parked rows of the scope: they are few, and no index is worth
// what it would cost each of them.
const (
	parkedColumns = "SELECT seq, id, topic, `key`, COALESCE(OCTET_LENGTH(payload), 0), created_at, error, parked_at FROM events_outbox_parked WHERE scope = ?"
	parkedAfter   = " AND (parked_at < ? OR parked_at = ? AND (seq < ? OR seq = ? AND id < ?))"
	parkedOrder   = " ORDER BY parked_at DESC, seq DESC, id DESC LIMIT ?"

	readParked    = "SELECT seq, id, topic, created_at, `key`, headers, payload FROM events_outbox_parked WHERE scope = ? AND id IN (%s) ORDER BY seq"
	discardParked = "DELETE FROM events_outbox_parked WHERE scope = ? AND id IN (%s)"
)

// The statements that move a row to the parked ones, in one transaction. It may
// be there already, of an attempt whose end nobody has learned.
const (
	copyParked = "INSERT IGNORE INTO events_outbox_parked (scope, seq, id, topic, `key`, headers, payload, created_at, error, parked_at)" +
		" SELECT scope, seq, id, topic, `key`, headers, payload, created_at, ?, " + Now + " FROM events_outbox WHERE scope = ? AND seq = ? AND id = ?"
	deleteOne = "DELETE FROM events_outbox WHERE scope = ? AND seq = ? AND id = ?"
)

// ParkOutbox implements [eventmodels.OutboxStore].
func (p *Parked) ParkOutbox(ctx context.Context, scope string, key eventmodels.OutboxKey, reason string) error {
	return p.Explain(p.Connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return inTransaction(ctx, conn, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, copyParked, reason, []byte(scope), key.Seq, key.ID[:]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, deleteOne, []byte(scope), key.Seq, key.ID[:])
			return err
		})
	}))
}

// ListParked implements [eventmodels.OutboxStore].
func (p *Parked) ListParked(ctx context.Context, scope string, after eventmodels.ParkedKey, limit int) (parked []eventmodels.ParkedRow, err error) {
	query, args := parkedColumns, []any{[]byte(scope)}
	if !after.ParkedAt.IsZero() {
		at := after.ParkedAt.UnixMicro()
		query, args = query+parkedAfter, append(args, at, at, after.Seq, after.Seq, after.ID[:])
	}
	err = p.Connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query+parkedOrder, append(args, limit)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		parked = nil // of a try before
		for rows.Next() {
			var (
				r                 eventmodels.ParkedRow
				id                []byte
				created, parkedAt int64
			)
			if err := rows.Scan(&r.Seq, &id, &r.Topic, &r.Key, &r.PayloadSize, &created, &r.Error, &parkedAt); err != nil {
				return err
			}
			if r.ID, err = uuid.FromBytes(id); err != nil {
				return fmt.Errorf("the parked row with seq %d: %w", r.Seq, err)
			}
			r.CreatedAt, r.ParkedAt = time.UnixMicro(created), time.UnixMicro(parkedAt)
			parked = append(parked, r)
		}
		return rows.Err()
	})
	return parked, p.Explain(err)
}

// errMoved says that somebody else has taken some of the rows.
var errMoved = errors.New("others are changing the same parked rows")

// RequeueParked implements [eventmodels.OutboxStore]. The rows are read without
// a lock. Whoever deletes as many as it has read has them for itself; another
// one begins anew with what is left.
func (p *Parked) RequeueParked(ctx context.Context, scope string, ids []uuid.UUID) (n int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	args := idArgs(scope, ids)
	err = p.Connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for {
			err := inTransaction(ctx, conn, func(tx *sql.Tx) error {
				rows, err := tx.QueryContext(ctx, WithList(readParked, len(ids)), args...)
				if err != nil {
					return err
				}
				page, err := CollectRows(rows, 0)
				if err != nil || len(page.Rows) == 0 {
					n = 0
					return err
				}
				result, err := tx.ExecContext(ctx, WithList(discardParked, len(ids)), args...)
				if err != nil {
					return err
				}
				deleted, err := result.RowsAffected()
				if err != nil {
					return err
				}
				if n = len(page.Rows); deleted != int64(n) {
					return errMoved
				}
				return p.Insert(ctx, tx, scope, page.Rows)
			})
			if !errors.Is(err, errMoved) {
				return err
			}
		}
	})
	if err != nil {
		return 0, p.Explain(err)
	}
	return n, nil
}

// DiscardParked implements [eventmodels.OutboxStore].
func (p *Parked) DiscardParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	var n int64
	err := p.Connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		n, err = exec(ctx, conn, WithList(discardParked, len(ids)), idArgs(scope, ids)...)
		return err
	})
	return int(n), p.Explain(err)
}

func idArgs(scope string, ids []uuid.UUID) []any {
	args := make([]any, 1, 1+len(ids))
	args[0] = []byte(scope)
	for i := range ids {
		args = append(args, ids[i][:])
	}
	return args
}
