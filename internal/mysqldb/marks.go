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

// MarkStatements are SQL texts for n marks, with the parameters of each.
type MarkStatements struct {
	Insert func(n int) string // n times (k, token); passes over those that are there
	Fresh  func(n int) string // k n times, and token: those of the marks that have this token
}

// InsertMarks inserts marks and returns those that were not there.
//
// The number of rows says whether all are new or none, which is nearly always
// so; else the marks of this statement are those with its token. RETURNING
// would say it at once, but not every server has it, and the way to know should
// be the one that was tested.
func (s MarkStatements) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) (fresh []eventmodels.Mark, err error) {
	for len(marks) > 0 {
		n := min(len(marks), MarkChunk)
		inserted, err := s.insert(ctx, tx, marks[:n])
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, inserted...)
		marks = marks[n:]
	}
	return fresh, nil
}

func (s MarkStatements) insert(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	token := rand.Int64()
	keys := make([]any, 0, len(marks)+1)
	args := make([]any, 0, 2*len(marks))
	for i := range marks {
		keys = append(keys, marks[i][:])
		args = append(args, marks[i][:], token)
	}
	result, err := tx.ExecContext(ctx, s.Insert(len(marks)), args...)
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
	fresh, err := QueryMarks(ctx, tx, s.Fresh(len(marks)), append(keys, token)...)
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
