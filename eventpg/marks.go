package eventpg

import (
	"context"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// insertMarks inserts in the order of the array, so that two transactions with
// the same marks never wait for each other. It waits for a transaction that
// has inserted one of them: if that commits, the mark is not new, if it rolls
// back, it is.
const insertMarks = `
INSERT INTO events_marks (k)
SELECT m.k FROM unnest($1::bytea[]) WITH ORDINALITY AS m (k, n) ORDER BY m.n
ON CONFLICT (k) DO NOTHING
RETURNING k`

// InsertMarks implements [eventdb.Dialect].
func (dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) (fresh []eventmodels.Mark, err error) {
	keys := make([][]byte, len(marks))
	for i := range marks {
		keys[i] = marks[i][:]
	}
	rows, err := tx.QueryContext(ctx, insertMarks, keys)
	if err != nil {
		return nil, explainSchema(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k []byte
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		fresh = append(fresh, eventmodels.Mark(k))
	}
	return fresh, explainSchema(rows.Err())
}

// deleteMarks takes the oldest first, by the index, and leaves alone what
// another process deletes at the moment. now() is the statement's start; the
// index cannot be searched for a clock_timestamp().
const deleteMarks = `
DELETE FROM events_marks
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM events_marks
    WHERE done_at < now() - $1::bigint * interval '1 microsecond'
    ORDER BY done_at
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED))`

// DeleteMarks implements [eventmodels.OutboxStore].
func (s *store) DeleteMarks(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.exec(ctx, deleteMarks, age.Microseconds(), limit)
	return int(tag.RowsAffected()), err
}
