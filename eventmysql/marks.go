package eventmysql

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

const now = mysqldb.Now

// InsertMarks implements [eventdb.Dialect]. Marks ascend, so that two transactions
// with the same ones never wait for each other. INSERT IGNORE waits for a
// transaction that has inserted one of them: if that commits, the mark is not
// new. If it rolls back while several wait, one goes on, and the server calls the
// others deadlocked (1213): they have all got a lock of the row that is gone, and
// each wants more. These try again from the beginning, where no handler has been
// called.
func (dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	fresh, err := mysqldb.InsertMarks(ctx, tx, marks)
	return fresh, explainSchema(err)
}

// The oldest marks are looked for without a lock, and deleted by their key: a
// DELETE that looks for them waits for the first mark that is too young, which
// belongs to a handler that runs. Their age is looked at once more: a mark that
// somebody else has deleted meanwhile may be there again, and young.
const (
	oldMarks = `SELECT k FROM events_marks FORCE INDEX (events_marks_done_at) WHERE done_at < ` + now + ` - ? ORDER BY done_at LIMIT ?`

	deleteMarks = `
DELETE m FROM JSON_TABLE(?, '$[*]' COLUMNS (k char(32) PATH '$')) AS old
STRAIGHT_JOIN events_marks AS m FORCE INDEX (PRIMARY) ON m.k = UNHEX(old.k)
WHERE m.done_at < ` + now + ` - ?`
)

// DeleteMarks implements [eventmodels.OutboxStore].
func (s *store) DeleteMarks(ctx context.Context, age time.Duration, limit int) (int, error) {
	var deleted int64
	err := s.connections.Work(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		old, err := mysqldb.QueryMarks(ctx, conn, oldMarks, age.Microseconds(), limit)
		if err != nil || len(old) == 0 {
			return err
		}
		keys := make([]string, len(old))
		for i, m := range old {
			keys[i] = hex.EncodeToString(m[:])
		}
		slices.Sort(keys) // two processes that delete the same ones do not wait for each other
		list, err := json.Marshal(keys)
		if err != nil {
			return err
		}
		result, err := conn.ExecContext(ctx, deleteMarks, string(list), age.Microseconds())
		if err == nil {
			deleted, err = result.RowsAffected()
		}
		return err
	})
	return int(deleted), explainSchema(err)
}
