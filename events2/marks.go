package events2

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

const now = mysqldb.Now

// InsertMarks implements [eventdb.Dialect]. Marks ascend, but lie in many
// partitions, in which a statement works at the same time: two transactions with
// the same marks can wait for each other, until the lock timeout of one of them,
// which is a conflict and tried again.
func (dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	fresh, err := mysqldb.InsertMarks(ctx, tx, marks)
	return fresh, explainSchema(err)
}

// The oldest marks are looked for without a lock, and deleted by their key.
// Their age is looked at once more: a mark that somebody else has deleted
// meanwhile may be there again, and young.
const (
	oldMarks    = `SELECT k FROM events_marks WHERE done_at < ` + now + ` - ? ORDER BY done_at LIMIT ?`
	deleteMarks = `DELETE FROM events_marks WHERE k IN (%s) AND done_at < ` + now + ` - ?`
)

// DeleteMarks implements [eventmodels.OutboxStore].
func (s *store) DeleteMarks(ctx context.Context, age time.Duration, limit int) (int, error) {
	var deleted int64
	err := s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) error {
		old, err := mysqldb.QueryMarks(ctx, conn, oldMarks, age.Microseconds(), limit)
		if err != nil || len(old) == 0 {
			return err
		}
		args := make([]any, 0, len(old)+1)
		for i := range old {
			args = append(args, old[i][:])
		}
		deleted, err = exec(ctx, conn, mysqldb.WithList(deleteMarks, len(old)), append(args, age.Microseconds())...)
		return err
	})
	return int(deleted), explainSchema(err)
}
