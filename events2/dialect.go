package events2

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// dialect is SingleStore's.
type dialect struct {
	// source makes the relay's own connections.
	source   mysqldb.Source
	sequence *sequence
	// maxConnections of the pool of the application, without those that the
	// library takes from it.
	maxConnections func() int
}

var _ eventdb.Dialect = dialect{}

// insertColumns are the parameters of a row.
const insertColumns = 8

// InsertOutbox implements [eventdb.Dialect].
func (d dialect) InsertOutbox(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error {
	seq, err := d.sequence.draw(ctx, scope, len(rows))
	if err != nil {
		return fmt.Errorf("draw %d numbers: %w", len(rows), err)
	}
	args := make([]any, 0, insertColumns*min(len(rows), mysqldb.InsertChunk))
	for len(rows) > 0 {
		n := mysqldb.Fitting(rows)
		args = args[:0]
		for i := range rows[:n] {
			r := &rows[i]
			args = append(args, []byte(scope), seq, r.ID[:], []byte(r.Topic), r.Key, r.Headers, r.Payload, r.CreatedAt.UnixMicro())
			seq++
		}
		query := "INSERT INTO events_outbox (scope, seq, id, topic, `key`, headers, payload, created_at) VALUES " + mysqldb.List("(?, ?, ?, ?, ?, ?, ?, ?)", n)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return explainSchema(err)
		}
		rows = rows[n:]
	}
	return nil
}

// lockKey locks a row of the scope's partition until the end of the
// transaction.
const lockKey = `UPDATE events_key_locks SET n = n + 1 WHERE scope = ? AND prefix = ? AND bucket = ?`

// LockKeys implements [eventdb.Dialect], one statement after the other: nobody
// but a timeout resolves a deadlock.
func (d dialect) LockKeys(ctx context.Context, tx eventmodels.AbstractTX, scope string, buckets []int) error {
	if len(buckets) == 0 {
		return nil
	}
	if err := d.sequence.prepare(ctx, scope); err != nil {
		return err
	}
	for _, bucket := range buckets {
		result, err := tx.ExecContext(ctx, lockKey, []byte(scope), []byte(d.sequence.prefix), bucket)
		if err != nil {
			return explainSchema(err)
		}
		locked, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if locked != 1 {
			return fmt.Errorf("the table events_key_locks has no row for bucket %d of the scope %q, which somebody has deleted: %w", bucket, scope, ErrSchema)
		}
	}
	return nil
}

// OnceOptions implements [eventdb.Dialect]. SingleStore knows READ COMMITTED,
// and no statement to ask for it.
func (dialect) OnceOptions() *sql.TxOptions { return nil }

// MaxConnections implements [eventdb.Dialect].
func (d dialect) MaxConnections() int { return d.maxConnections() }

// OpenOutbox implements [eventdb.Dialect].
func (d dialect) OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error) {
	return openStore(ctx, d.source, d.InsertOutbox)
}

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
