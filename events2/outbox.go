package events2

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// ReadOutbox implements [eventmodels.OutboxStore]. There is no proof that a seq
// that was drawn will never appear.
func (s *store) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (page eventmodels.OutboxPage, err error) {
	query, args := mysqldb.ReadQuery(read, "")
	err = s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		page, err = mysqldb.CollectRows(rows, read.MaxBytes)
		return err
	})
	if err != nil {
		return eventmodels.OutboxPage{}, explainSchema(err)
	}
	page.Proof = eventmodels.ProofClock
	return page, nil
}

// deleteChunk is the number of rows that one statement deletes.
const deleteChunk = 500

// deleteOutbox finds rows by the primary key. Ids are unique: an id of the list
// in a row whose seq is in the list is in its own row.
const deleteOutbox = `DELETE FROM events_outbox WHERE scope = ? AND seq IN (%s) AND id IN (%s)`

// DeleteOutbox implements [eventmodels.OutboxStore].
func (s *store) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	for len(keys) > 0 {
		n := min(len(keys), deleteChunk)
		args := make([]any, 1+2*n)
		args[0] = []byte(scope)
		for i := range keys[:n] {
			args[1+i], args[1+n+i] = keys[i].Seq, keys[i].ID[:]
		}
		err := s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
			_, err := exec(ctx, conn, mysqldb.WithList(deleteOutbox, n), args...)
			return err
		})
		if err != nil {
			return explainSchema(err)
		}
		keys = keys[n:]
	}
	return nil
}

// The row with the smallest seq is taken for the oldest.
const (
	countOutbox = `SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM (SELECT seq FROM events_outbox WHERE scope = ? AND seq > ? ORDER BY seq LIMIT ?) AS counted`
	highestSeq  = `SELECT seq FROM events_outbox WHERE scope = ? AND seq > ? ORDER BY seq DESC LIMIT 1`
	countParked = `SELECT COUNT(*) FROM (SELECT 1 FROM events_outbox_parked WHERE scope = ? LIMIT ?) AS counted`
	oldestAge   = `SELECT ` + now + ` - created_at FROM events_outbox WHERE scope = ? AND seq > ? ORDER BY seq LIMIT 1`
)

// Stats implements [eventmodels.OutboxStore].
func (s *store) Stats(ctx context.Context, scope string, doneTo int64) (stats eventmodels.OutboxStats, err error) {
	var (
		count  eventmodels.OutboxCount
		micros int64
	)
	name, limit := []byte(scope), eventmodels.StatsLimit
	err = s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for _, q := range []struct {
			query string
			args  []any
			into  []any
		}{
			{countOutbox, []any{name, doneTo, limit}, []any{&count.Counted, &count.First, &count.Last}},
			{highestSeq, []any{name, doneTo}, []any{&count.Highest}},
			{countParked, []any{name, limit}, []any{&stats.Parked}},
			{oldestAge, []any{name, doneTo}, []any{&micros}},
		} {
			if err := conn.QueryRowContext(ctx, q.query, q.args...).Scan(q.into...); err != nil && err != sql.ErrNoRows {
				return fmt.Errorf("describe the outbox: %w", err)
			}
		}
		return nil
	})
	stats.Rows = count.Rows()
	stats.OldestAge = max(0, time.Duration(micros)*time.Microsecond)
	return stats, explainSchema(err)
}
