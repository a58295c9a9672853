package eventmysql

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// ReadOutbox implements [eventmodels.OutboxStore]. It has no proof that a seq
// will never appear: InnoDB draws it before the transaction has an id.
func (s *store) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (page eventmodels.OutboxPage, err error) {
	query, args := readQuery(read)
	err = s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		page, err = mysqldb.CollectRows(rows, read.MaxBytes)
		if err != nil || len(page.Rows) == 0 || !s.early.Load() {
			return err
		}
		return flush(ctx, conn, read.Scope)
	})
	if err != nil {
		return eventmodels.OutboxPage{}, explainSchema(err)
	}
	page.Proof = eventmodels.ProofClock
	return page, nil
}

// readQuery forces the primary key, since the table's size is another one than
// the server believes.
func readQuery(read eventmodels.OutboxRead) (query string, args []any) {
	return mysqldb.ReadQuery(read, " FORCE INDEX (PRIMARY)")
}

// deleteOutbox looks each row up by its primary key, in the order of the list,
// so that two processes that delete the same rows do not wait for each other,
// and never looks at a row that somebody else has just inserted, which it would
// have to wait for.
const deleteOutbox = `
DELETE o FROM JSON_TABLE(?, '$[*]' COLUMNS (seq bigint PATH '$[0]', id char(32) PATH '$[1]')) AS k
STRAIGHT_JOIN events_outbox AS o FORCE INDEX (PRIMARY) ON o.scope = ? AND o.seq = k.seq AND o.id = UNHEX(k.id)`

// DeleteOutbox implements [eventmodels.OutboxStore].
func (s *store) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	if len(keys) == 0 {
		return nil
	}
	return explainSchema(s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, deleteOutbox, keyList(keys), []byte(scope))
		return err
	}))
}

// keyList is keys as a JSON array of [seq, "hex of id"], in ascending order.
func keyList(keys []eventmodels.OutboxKey) string {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b eventmodels.OutboxKey) int { return cmp.Compare(a.Seq, b.Seq) })
	text := make([]byte, 0, 64*len(sorted))
	for _, key := range sorted {
		text = append(strconv.AppendInt(append(text, ",["...), key.Seq, 10), `,"`...)
		text = append(hex.AppendEncode(text, key.ID[:]), `"]`...)
	}
	text[0] = '['
	return string(append(text, ']'))
}

// outboxStats takes the row with the smallest seq for the oldest.
const outboxStats = `
SELECT counted.n, counted.first, counted.last,
       COALESCE((SELECT seq FROM events_outbox FORCE INDEX (PRIMARY) WHERE scope = ? AND seq > ? ORDER BY seq DESC LIMIT 1), 0),
       (SELECT COUNT(*) FROM (SELECT 1 FROM events_outbox_parked WHERE scope = ? LIMIT ?) AS parked),
       COALESCE((SELECT ` + now + ` - created_at FROM events_outbox WHERE scope = ? AND seq = counted.first), 0)
FROM (SELECT COUNT(*) AS n, COALESCE(MIN(seq), 0) AS first, COALESCE(MAX(seq), 0) AS last
      FROM (SELECT seq FROM events_outbox FORCE INDEX (PRIMARY) WHERE scope = ? AND seq > ? ORDER BY seq LIMIT ?) AS limited) AS counted`

// Stats implements [eventmodels.OutboxStore].
func (s *store) Stats(ctx context.Context, scope string, doneTo int64) (stats eventmodels.OutboxStats, err error) {
	var (
		count  eventmodels.OutboxCount
		micros int64
	)
	name := []byte(scope)
	err = s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, outboxStats, name, doneTo, name, eventmodels.StatsLimit, name, name, doneTo, eventmodels.StatsLimit).
			Scan(&count.Counted, &count.First, &count.Last, &count.Highest, &stats.Parked, &micros)
	})
	stats.Rows = count.Rows()
	stats.OldestAge = max(0, time.Duration(micros)*time.Microsecond)
	return stats, explainSchema(err)
}
