package eventmysql

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// dialect is that of MySQL and MariaDB.
type dialect struct {
	// source makes the relay's own connections.
	source mysqldb.Source
	// maxConnections of the pool of the application, without those that the
	// relay takes from it.
	maxConnections func() int
}

var _ eventdb.Dialect = dialect{}

// insertColumns are the parameters of a row.
const insertColumns = 7

// InsertOutbox implements [eventdb.Dialect]. The server knows how many rows a
// VALUES list has before it draws their seqs, and draws all at once, in the
// order of the list.
func (dialect) InsertOutbox(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error {
	args := make([]any, 0, insertColumns*min(len(rows), mysqldb.InsertChunk))
	for len(rows) > 0 {
		n := mysqldb.Fitting(rows)
		args = args[:0]
		for i := range rows[:n] {
			r := &rows[i]
			args = append(args, []byte(scope), r.ID[:], []byte(r.Topic), r.Key, r.Headers, r.Payload, r.CreatedAt.UnixMicro())
		}
		query := "INSERT INTO events_outbox (scope, id, topic, `key`, headers, payload, created_at) VALUES " + mysqldb.List("(?, ?, ?, ?, ?, ?, ?)", n)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return explainSchema(err)
		}
		rows = rows[n:]
	}
	return nil
}

// LockKeys implements [eventdb.Dialect] with row locks of events_key_locks,
// which are taken in the order of the primary key.
func (dialect) LockKeys(ctx context.Context, tx eventmodels.AbstractTX, _ string, buckets []int) error {
	if len(buckets) == 0 {
		return nil
	}
	args := make([]any, len(buckets))
	for i, b := range buckets {
		args[i] = b
	}
	rows, err := tx.QueryContext(ctx, `SELECT bucket FROM events_key_locks FORCE INDEX (PRIMARY) WHERE bucket IN (`+mysqldb.List("?", len(buckets))+`) ORDER BY bucket FOR UPDATE`, args...)
	if err != nil {
		return explainSchema(err)
	}
	defer rows.Close()
	locked := 0
	for rows.Next() {
		locked++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if locked != len(buckets) {
		return fmt.Errorf("the table events_key_locks has %d of the %d rows that WithKeyLocks needs; it must have those with bucket 0 to %d: %w",
			locked, len(buckets), eventdb.KeyBuckets-1, ErrSchema)
	}
	return nil
}

// OnceOptions implements [eventdb.Dialect].
func (dialect) OnceOptions() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// MaxConnections implements [eventdb.Dialect].
func (d dialect) MaxConnections() int { return d.maxConnections() }

// OpenOutbox implements [eventdb.Dialect].
func (d dialect) OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error) {
	return openStore(ctx, d.source)
}

// Fault implements [eventdb.Dialect].
func (dialect) Fault(err error) eventmodels.Fault { return mysqldb.Fault(err) }

// CommitRefused implements [eventdb.Dialect].
func (dialect) CommitRefused(err error) bool { return mysqldb.CommitRefused(err) }

// Transaction implements [eventdb.Dialect].
func (dialect) Transaction(tx any) (eventmodels.AbstractTX, error) {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &TransactionTypeError{Type: fmt.Sprintf("a nil %T", tx)}
	}
	if tx, ok := tx.(eventdb.BasicTX); ok { // *sql.Tx, *Tx, and all that have a *sql.Tx's methods
		return tx, nil
	}
	return nil, &TransactionTypeError{Type: fmt.Sprintf("%T", tx)}
}
