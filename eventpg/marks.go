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

// insertMark is insertMarks for one, for less than half of the cost.
const insertMark = `INSERT INTO events_marks (k) VALUES ($1::bytea) ON CONFLICT (k) DO NOTHING RETURNING k`

func marksStatement(marks []eventmodels.Mark) (query string, args []any) {
	if len(marks) == 1 {
		return insertMark, []any{marks[0][:]}
	}
	keys := make([][]byte, len(marks))
	for i := range marks {
		keys[i] = marks[i][:]
	}
	return insertMarks, []any{keys}
}

// InsertMarks implements [eventdb.Dialect].
func (dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	query, args := marksStatement(marks)
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explainSchema(err)
	}
	defer rows.Close()
	fresh, err := collectMarks(rows, len(marks))
	return fresh, explainSchema(err)
}

// collectMarks reads at most limit marks.
func collectMarks(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}, limit int) ([]eventmodels.Mark, error) {
	fresh := make([]eventmodels.Mark, 0, limit)
	var k []byte // of database/sql a copy, of pgx a piece of what it has read
	for rows.Next() {
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		fresh = append(fresh, eventmodels.Mark(k))
	}
	return fresh, rows.Err()
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
