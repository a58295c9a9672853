package mysqldb

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/seed46dd6f11/events/eventmodels"
)

// MarkChunk is the number of marks of one statement.
const MarkChunk = 500

// Now is the server's clock in microseconds, at the statement's start, in any
// time zone.
const Now = `TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))`

// InsertMarks inserts marks and returns those that were not there.
//
// The number of rows says whether all are new or none, which is nearly always
// so; else the marks of this statement are those with its token. RETURNING
// would say it at once, but not every server has it, and the way to know should
// be the one that was tested. IGNORE hides no other error than that a mark is
// there: the values are of the columns' types.
func InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) (fresh []eventmodels.Mark, err error) {
	for len(marks) > 0 {
		n := min(len(marks), MarkChunk)
		inserted, err := insertMarks(ctx, tx, marks[:n])
		if err != nil {
			return nil, err
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
	result, err := tx.ExecContext(ctx, `INSERT IGNORE INTO events_marks (k, token, done_at) VALUES `+List("(?, ?, "+Now+")", len(marks)), args...)
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
	fresh, err := QueryMarks(ctx, tx, `SELECT k FROM events_marks WHERE k IN (`+List("?", len(marks))+`) AND token = ?`, append(keys, token)...)
	if err == nil && int64(len(fresh)) != inserted {
		// A session's sql_select_limit, for one. A mark that is taken for an
		// old one would be an event that no handler ever gets.
		err = fmt.Errorf("%d marks were inserted, and %d of them were found", inserted, len(fresh))
	}
	return fresh, err
}

// QueryMarks runs a query for marks.
func QueryMarks(ctx context.Context, db Queryer, query string, args ...any) (marks []eventmodels.Mark, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
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

// Queryer is a transaction or a connection.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// WithList puts n parameters into each list, written as %s, of a statement.
func WithList(statement string, n int) string {
	return strings.ReplaceAll(statement, "%s", List("?", n))
}

// List returns item n times, with commas.
func List(item string, n int) string { return strings.Repeat(item+", ", n-1) + item }
