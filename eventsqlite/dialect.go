package eventsqlite

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// dialect is SQLite's side of [eventdb.Dialect].
type dialect struct {
	db rowQueryer
}

var _ eventdb.Dialect = (*dialect)(nil)

// onceOptions mark the transactions whose wait [WithMarkWait] bounds, by being
// this pointer. SQLite has one level, which is stricter than READ COMMITTED.
var onceOptions = &sql.TxOptions{}

// micros is how times are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// insertChunk is the number of outbox rows of one statement. More make it no
// faster, and SQLite allows 32,766 parameters.
const insertChunk = 100

// InsertOutbox implements [eventdb.Dialect]. The rows of a VALUES list are
// inserted, and their seqs drawn, in the order of the list.
func (d *dialect) InsertOutbox(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error {
	args := make([]any, 0, 7*min(len(rows), insertChunk))
	for len(rows) > 0 {
		n := min(len(rows), insertChunk)
		args = args[:0]
		for i := range rows[:n] {
			r := &rows[i]
			args = append(args, scope, r.ID.String(), r.Topic, r.Key, r.Headers, r.Payload, micros(r.CreatedAt))
		}
		query := `INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at) VALUES ` + list("(?,?,?,?,?,?,?)", n)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return explainSchema(err)
		}
		rows = rows[n:]
	}
	return nil
}

// list returns item n times, with commas.
func list(item string, n int) string { return strings.Repeat(item+",", n-1) + item }

// markChunk is the number of marks of one statement.
const markChunk = 500

// InsertMarks implements [eventdb.Dialect]. There are no other transactions to
// wait for: this one has the write lock.
func (d *dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error) {
	now := micros(time.Now())
	var fresh []eventmodels.Mark
	args := make([]any, 0, 2*min(len(marks), markChunk))
	for len(marks) > 0 {
		n := min(len(marks), markChunk)
		args = args[:0]
		for _, m := range marks[:n] {
			args = append(args, m[:], now)
		}
		query := `INSERT INTO events_marks (k, done_at) VALUES ` + list("(?,?)", n) + ` ON CONFLICT DO NOTHING RETURNING k`
		inserted, err := queryMarks(ctx, tx, query, args)
		if err != nil {
			return nil, explainSchema(err)
		}
		fresh = append(fresh, inserted...)
		marks = marks[n:]
	}
	return fresh, nil
}

func queryMarks(ctx context.Context, tx eventmodels.AbstractTX, query string, args []any) ([]eventmodels.Mark, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var marks []eventmodels.Mark
	for rows.Next() {
		var raw sql.RawBytes
		if err := rows.Scan(&raw); err != nil {
			return nil, err
		}
		var m eventmodels.Mark
		if copy(m[:], raw) != len(m) || len(raw) != len(m) {
			return nil, fmt.Errorf("a mark of %d bytes", len(raw))
		}
		marks = append(marks, m)
	}
	return marks, rows.Err()
}

// LockKeys implements [eventdb.Dialect]. There is nothing to lock: one
// transaction writes at a time, so all events are in the order of commits.
func (d *dialect) LockKeys(context.Context, eventmodels.AbstractTX, string, []int) error { return nil }

// OnceOptions implements [eventdb.Dialect].
func (d *dialect) OnceOptions() *sql.TxOptions { return onceOptions }

// Fault implements [eventdb.Dialect].
func (d *dialect) Fault(err error) eventmodels.Fault { return fault(err) }

// CommitRefused implements [eventdb.Dialect].
func (d *dialect) CommitRefused(err error) bool { return commitRefused(err) }

// Transaction implements [eventdb.Dialect].
func (d *dialect) Transaction(tx any) (eventmodels.AbstractTX, error) {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &TransactionTypeError{Type: fmt.Sprintf("a nil %T", tx)}
	}
	if tx, ok := tx.(eventdb.BasicTX); ok { // *sql.Tx, *Tx, and all that have a *sql.Tx's methods
		return tx, nil
	}
	return nil, &TransactionTypeError{Type: fmt.Sprintf("%T", tx)}
}

// OpenOutbox implements [eventdb.Dialect].
func (d *dialect) OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error) {
	f, err := d.locate(ctx)
	if err != nil {
		return nil, err
	}
	return openStore(ctx, f)
}

func (d *dialect) locate(ctx context.Context) (*file, error) {
	if p, ok := d.db.(*Pool); ok {
		return p.locate(ctx)
	}
	return locate(ctx, d.db)
}

// MaxConnections implements [eventdb.Dialect].
func (d *dialect) MaxConnections() int {
	if db, ok := d.db.(interface{ Stats() sql.DBStats }); ok {
		return db.Stats().MaxOpenConnections
	}
	return 0
}
