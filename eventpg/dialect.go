package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// dialect is PostgreSQL's.
type dialect struct {
	// source says how the relay's own connections are made.
	source source
	// maxConnections of the pool of the application.
	maxConnections func() int
}

var _ eventdb.Dialect = dialect{}

// insertOutbox takes any number of rows in seven parameters, insertOne the
// single row of most transactions, for less than half of the cost.
//
// The condition is not about the rows: it gives the transaction its xid before
// the first nextval of the identity runs. PostgreSQL evaluates a condition
// without columns once, before it reads or computes anything, and draws seqs
// as the ordered rows come. The relay relies on both: a seq that was skipped
// belongs to a transaction whose xid is known to be below a bound.
const insertOutbox = `
INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
SELECT $1::text, r.id, r.topic, r.key, r.headers, r.payload, r.created_at
FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[], $7::timestamptz[])
    WITH ORDINALITY AS r (id, topic, key, headers, payload, created_at, n)
WHERE pg_current_xact_id() IS NOT NULL
ORDER BY r.n`

const insertOne = `
INSERT INTO events_outbox (scope, id, topic, key, headers, payload, created_at)
SELECT $1::text, $2::uuid, $3::text, $4::bytea, $5::bytea, $6::bytea, $7::timestamptz
WHERE pg_current_xact_id() IS NOT NULL`

// maxInsertBytes is where InsertOutbox begins another statement. A message of
// the protocol ends at 1 GB; long before, it only costs memory.
const maxInsertBytes = 32 << 20

// InsertOutbox implements [eventdb.Dialect].
func (dialect) InsertOutbox(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error {
	for len(rows) > 0 {
		n := fitting(rows)
		query, args := insertStatement(scope, rows[:n])
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return explainSchema(err)
		}
		rows = rows[n:]
	}
	return nil
}

func insertStatement(scope string, rows []eventmodels.OutboxRow) (query string, args []any) {
	if len(rows) == 1 {
		r := &rows[0]
		return insertOne, []any{scope, uuidOf(r.ID), r.Topic, r.Key, r.Headers, r.Payload, r.CreatedAt}
	}
	c := columnsOf(rows)
	return insertOutbox, []any{scope, c.ids, c.topics, c.keys, c.headers, c.payloads, c.times}
}

// fitting returns how many rows go into one statement, at least one.
func fitting(rows []eventmodels.OutboxRow) int {
	size := 0
	for i := range rows {
		size += len(rows[i].Key) + len(rows[i].Headers) + len(rows[i].Payload)
		if size > maxInsertBytes && i > 0 {
			return i
		}
	}
	return len(rows)
}

// columns are rows as arrays, one per column.
type columns struct {
	ids                     []pgtype.UUID
	topics                  []string
	keys, headers, payloads [][]byte
	times                   []time.Time
}

func columnsOf(rows []eventmodels.OutboxRow) columns {
	bytes := make([][]byte, 3*len(rows))
	c := columns{
		ids:      make([]pgtype.UUID, len(rows)),
		topics:   make([]string, len(rows)),
		keys:     bytes[:len(rows)],
		headers:  bytes[len(rows) : 2*len(rows)],
		payloads: bytes[2*len(rows):],
		times:    make([]time.Time, len(rows)),
	}
	for i := range rows {
		c.ids[i] = uuidOf(rows[i].ID)
		c.topics[i] = rows[i].Topic
		c.keys[i] = rows[i].Key
		c.headers[i] = rows[i].Headers
		c.payloads[i] = rows[i].Payload
		c.times[i] = rows[i].CreatedAt
	}
	return c
}

func uuidOf(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// lockKeys takes the locks in the order of the array: a subquery with ORDER BY
// is not merged with the query around it.
const lockKeys = `
SELECT pg_advisory_xact_lock($1::integer, b)
FROM (SELECT b FROM unnest($2::integer[]) WITH ORDINALITY AS u (b, n) ORDER BY n) AS ordered`

// LockKeys implements [eventdb.Dialect] with advisory locks of the two-number
// kind: the first is [KeyLockClass] of the scope, the second the bucket.
func (dialect) LockKeys(ctx context.Context, tx eventmodels.AbstractTX, scope string, buckets []int) error {
	if len(buckets) == 0 {
		return nil
	}
	numbers := make([]int32, len(buckets))
	for i, b := range buckets {
		numbers[i] = int32(b)
	}
	_, err := tx.ExecContext(ctx, lockKeys, KeyLockClass(scope), numbers)
	return err
}

// KeyLockClass returns the class of the advisory locks that [WithKeyLocks]
// takes for a scope (a library's prefix), as pg_locks shows it in classid. The
// locks of other uses of pg_advisory_lock(int, int) in the same database
// should be of another class.
func KeyLockClass(scope string) int32 {
	h := fnv.New32a()
	h.Write([]byte("github.com/seed46dd6f11/events key locks\x00" + scope))
	return int32(h.Sum32())
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

// Transaction implements [eventdb.Dialect].
func (dialect) Transaction(tx any) (eventmodels.AbstractTX, error) {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &TransactionTypeError{Type: fmt.Sprintf("a nil %T", tx)}
	}
	switch tx := tx.(type) {
	case eventdb.BasicTX: // *sql.Tx, *Tx, and all that have a *sql.Tx's methods
		return tx, nil
	case pgx.Tx:
		return nativeTx{tx}, nil
	}
	return nil, &TransactionTypeError{Type: fmt.Sprintf("%T", tx)}
}

// nativeTx is a pgx.Tx as an AbstractTX, as far as inserting events needs one.
type nativeTx struct{ tx pgx.Tx }

func (t nativeTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return rowsAffected(tag.RowsAffected()), err
}

func (nativeTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errNativeQuery
}

// QueryRowContext is never called.
func (nativeTx) QueryRowContext(context.Context, string, ...any) *sql.Row { panic(errNativeQuery) }

var errNativeQuery = errors.New("a pgx.Tx has no *sql.Rows")

// rowsAffected is the result of a statement.
type rowsAffected int64

func (rowsAffected) LastInsertId() (int64, error) { return 0, errors.ErrUnsupported }

func (n rowsAffected) RowsAffected() (int64, error) { return int64(n), nil }
