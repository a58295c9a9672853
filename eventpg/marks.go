package eventpg

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

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

func marksArgument(marks []eventmodels.Mark) [][]byte {
	keys := make([][]byte, len(marks))
	for i := range marks {
		keys[i] = marks[i][:]
	}
	return keys
}

// InsertMarks implements [eventdb.Dialect].
func (dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	rows, err := tx.QueryContext(ctx, insertMarks, marksArgument(marks))
	if err != nil {
		return nil, explainSchema(err)
	}
	defer rows.Close()
	fresh, err := collectMarks(rows, len(marks))
	return fresh, explainSchema(err)
}

// collectMarks reads the rows of insertMarks, at most limit.
func collectMarks(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}, limit int) ([]eventmodels.Mark, error) {
	fresh := make(markScanner, 0, limit)
	into := []any{&fresh}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
	}
	return fresh, rows.Err()
}

// markScanner takes marks from pgx and from database/sql as they have read
// them, without a copy for each.
type markScanner []eventmodels.Mark

// ScanBytes implements [pgtype.BytesScanner].
func (s *markScanner) ScanBytes(k []byte) error {
	if len(k) != len(eventmodels.Mark{}) {
		return fmt.Errorf("a mark of %d bytes", len(k))
	}
	*s = append(*s, eventmodels.Mark(k))
	return nil
}

// Scan implements [sql.Scanner].
func (s *markScanner) Scan(k any) error {
	bytes, _ := k.([]byte)
	return s.ScanBytes(bytes)
}

var (
	_ pgtype.BytesScanner = (*markScanner)(nil)
	_ sql.Scanner         = (*markScanner)(nil)
)

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
