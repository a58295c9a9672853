package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

const (
	// InsertChunk is the number of outbox rows of one INSERT. Servers take
	// 65,535 parameters, and more rows make it no faster.
	InsertChunk = 1000
	// InsertBytes is what they weigh at most, if it is not one row. An escaped
	// byte can become two, and servers take statements of 16 MiB by default.
	InsertBytes = 2 << 20
)

// Fitting returns how many rows go into one INSERT, at least one.
func Fitting(rows []eventmodels.OutboxRow) int {
	size := 0
	for i := range rows[:min(len(rows), InsertChunk)] {
		size += rows[i].Weight()
		if size > InsertBytes && i > 0 {
			return i
		}
	}
	return min(len(rows), InsertChunk)
}

// narrow is the width up to which a gap is asked for seq by seq: the optimizer
// prepares a list of numbers much faster than as many ranges.
const narrow = 4

// ReadQuery makes one statement, for one snapshot: ranges of the primary key,
// in its order, so that nothing is sorted and the limit ends the work. What is
// above the hint is compared first, since that is what most rows are.
//
// Numbers are in the text, since there can be more of them than parameters.
func ReadQuery(read eventmodels.OutboxRead, hint string) (query string, args []any) {
	values := "`key`, headers, payload"
	if n := len(read.Held); n > 0 {
		held := "topic IN (" + List("?", n) + ")"
		values = "IF(" + held + ", NULL, `key`), IF(" + held + ", NULL, headers), IF(" + held + ", NULL, payload)"
		for range 3 {
			for _, topic := range read.Held {
				args = append(args, []byte(topic))
			}
		}
	}
	var where strings.Builder
	fmt.Fprintf(&where, "seq > %d", read.Hint)
	var single []byte
	for _, gap := range read.Gaps {
		if gap.Hi-gap.Lo >= narrow {
			fmt.Fprintf(&where, " OR seq BETWEEN %d AND %d", gap.Lo, gap.Hi)
			continue
		}
		for seq := gap.Lo; seq <= gap.Hi; seq++ {
			single = strconv.AppendInt(append(single, ','), seq, 10)
		}
	}
	if len(single) > 0 {
		fmt.Fprintf(&where, " OR seq IN (%s)", single[1:])
	}
	return "SELECT seq, id, topic, created_at, " + values + " FROM events_outbox" + hint +
		" WHERE scope = ? AND (" + where.String() + ") ORDER BY seq LIMIT " + strconv.Itoa(read.Limit), append(args, []byte(read.Scope))
}

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

// inTransaction runs statements that take effect together. A transaction that
// has failed is rolled back whatever has failed: the server goes on with one
// whose statement was refused.
func inTransaction(ctx context.Context, conn *sql.Conn, statements func(*sql.Tx) error) error {
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
