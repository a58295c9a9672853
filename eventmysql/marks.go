package eventmysql

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// now is the server's clock in microseconds, at the statement's start, in any
// time zone.
const now = `TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))`

// markChunk is the number of marks of one statement.
const markChunk = 500

// InsertMarks implements [eventdb.Dialect].
//
// The marks ascend, so that two transactions with the same ones never wait for
// each other. INSERT IGNORE waits for a transaction that has inserted one of
// them: if that commits, the mark is not new. If it rolls back while several
// wait, one goes on, and the server calls the others deadlocked (1213): they
// have all got a lock of the row that is gone, and each wants more. These try
// again from the beginning, where no handler has been called.
//
// The number of rows says whether all are new or none, which is nearly always
// so; else the marks of this statement are those with its token. RETURNING
// would say it at once, but MySQL has not got it, and the way to know should be
// the one that was tested. IGNORE hides no other error: the values are of the
// columns' types.
func (dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) (fresh []eventmodels.Mark, err error) {
	for len(marks) > 0 {
		n := min(len(marks), markChunk)
		inserted, err := insertMarks(ctx, tx, marks[:n])
		if err != nil {
			return nil, explainSchema(err)
		}
		fresh = append(fresh, inserted...)
		marks = marks[n:]
	}
	return fresh, nil
}

func insertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	token := rand.Int64()
	keys := make([]any, 0, len(marks)+1)
	args := make([]any, 0, 2*len(marks))
	for i := range marks {
		keys = append(keys, marks[i][:])
		args = append(args, marks[i][:], token)
	}
	result, err := tx.ExecContext(ctx, `INSERT IGNORE INTO events_marks (k, token, done_at) VALUES `+list("(?, ?, "+now+")", len(marks)), args...)
	if err != nil {
		return nil, err
	}
	inserted, err := result.RowsAffected()
	switch {
	case err != nil:
		return nil, err
	case inserted == 0:
		return nil, nil
	case inserted == int64(len(marks)):
		return marks, nil
	}
	return queryMarks(ctx, tx, `SELECT k FROM events_marks WHERE k IN (`+list("?", len(marks))+`) AND token = ?`, append(keys, token))
}

func queryMarks(ctx context.Context, tx queryer, query string, args []any) (marks []eventmodels.Mark, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k []byte
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		marks = append(marks, eventmodels.Mark(k))
	}
	return marks, rows.Err()
}

// queryer is a transaction or a connection.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list returns item n times, with commas.
func list(item string, n int) string { return strings.Repeat(item+", ", n-1) + item }

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
		old, err := queryMarks(ctx, conn, oldMarks, []any{age.Microseconds(), limit})
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
		deleted, err = exec(ctx, conn, deleteMarks, string(list), age.Microseconds())
		return err
	})
	return int(deleted), explainSchema(err)
}
