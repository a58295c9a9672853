package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// CollectRows reads rows of seq, id, topic, created_at, key, headers, payload
// into a page. It leaves those that are too much to the next read. They are still
// received, one after the other, but not kept: a read asks for as many as would
// fit if they weighed what the last ones did, so that this is rare.
func CollectRows(rows *sql.Rows, maxBytes int) (page eventmodels.OutboxPage, err error) {
	defer rows.Close()
	weight := 0
	for rows.Next() {
		if page.Cut {
			continue
		}
		var (
			r       eventmodels.OutboxRow
			id      sql.RawBytes
			topic   sql.RawBytes
			created int64
		)
		if err := rows.Scan(&r.Seq, &id, &topic, &created, &r.Key, &r.Headers, &r.Payload); err != nil {
			return page, err
		}
		if r.ID, err = uuid.FromBytes(id); err != nil {
			return page, fmt.Errorf("the outbox row with seq %d: %w", r.Seq, err)
		}
		r.Topic, r.CreatedAt = string(topic), time.UnixMicro(created)
		page.Rows = append(page.Rows, r)
		weight += r.Weight()
		page.Cut = maxBytes > 0 && weight >= maxBytes
	}
	return page, rows.Err()
}

// MaxReason bounds the text of an error that is stored.
const MaxReason = 8 << 10

// Storable makes a text one that a utf8mb4 column takes.
func Storable(text string) string {
	if len(text) > MaxReason {
		text = text[:MaxReason]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// InTransaction runs statements that take effect together. A transaction that
// has failed is rolled back whatever has failed: the server goes on with one
// whose statement was refused.
func InTransaction(ctx context.Context, conn *sql.Conn, statements func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := statements(tx); err != nil {
		if undone := tx.Rollback(); undone != nil {
			err = errors.Join(err, undone) // Lost finds it, and the connection is not kept
		}
		return err
	}
	return tx.Commit()
}
