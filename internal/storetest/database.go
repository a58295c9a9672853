package storetest

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Patience bounds what should happen at once.
const Patience = 30 * time.Second

// Scope is the outbox's, and what wire topics begin with.
const Scope = "test."

// ErrTest is the error of what fails on purpose.
var ErrTest = errors.New("an error of the test")

// Context returns one that ends with the test, or with its patience.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// MustExec executes a statement.
func MustExec(t testing.TB, db eventmodels.AbstractTX, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(Context(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Database is an empty one with the library's tables, of one test, connected
// to a [Producer].
type Database[ID eventmodels.AbstractID[ID], T TX, D DB[ID, T], O any] struct {
	backend  *Backend[ID, T, D, O]
	Opened   D
	Dialect  eventdb.Dialect // of Opened
	DSN      string
	Pool     *sql.DB // of Opened
	Admin    *sql.DB // another, for looking and for interfering
	Producer *Producer[ID]
}

// NewDatabase opens a database of the test's own, which is closed at its end:
// by then all connections must have been given back.
func (b *Backend[ID, T, D, O]) NewDatabase(t testing.TB, opts ...O) *Database[ID, T, D, O] {
	t.Helper()
	return b.NewDatabaseAt(t, b.Empty(t), opts...)
}

// NewDatabaseAt is NewDatabase for an empty database that the test has made.
func (b *Backend[ID, T, D, O]) NewDatabaseAt(t testing.TB, dsn string, opts ...O) *Database[ID, T, D, O] {
	t.Helper()
	db, err := b.Open(Context(t), dsn, append(opts, b.WithMigrate())...)
	if err != nil {
		t.Fatal(err)
	}
	d := &Database[ID, T, D, O]{backend: b, Opened: db, Dialect: b.DialectOf(db), DSN: dsn, Pool: b.PoolOf(db), Admin: b.Server.Pool(t, dsn), Producer: &Producer[ID]{}}
	db.AugmentWithProducer(d.Producer)
	t.Cleanup(func() {
		if n := d.Pool.Stats().InUse; n != 0 {
			t.Errorf("%d connections were not given back", n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// BeginTx begins a transaction that does not outlive the test.
func (d *Database[ID, T, D, O]) BeginTx(t testing.TB) T {
	t.Helper()
	tx, err := d.backend.Begin(Context(t), d.Opened)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// BeginAdmin is BeginTx for a transaction that interferes.
func (d *Database[ID, T, D, O]) BeginAdmin(t testing.TB) *sql.Tx {
	t.Helper()
	tx, err := d.Admin.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// OpenStore opens a store that is closed at the end of the test.
func (d *Database[ID, T, D, O]) OpenStore(t testing.TB) eventmodels.OutboxStore {
	t.Helper()
	return OpenStore(t, d.Opened)
}

// OpenStore opens a store of any database; it is closed at the end of the test.
func OpenStore(t testing.TB, db interface {
	OpenOutbox(context.Context) (eventmodels.OutboxStore, error)
}) eventmodels.OutboxStore {
	t.Helper()
	s, err := db.OpenOutbox(Context(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Outbox returns everything in the outbox.
func Outbox(t testing.TB, s eventmodels.OutboxStore) []eventmodels.OutboxRow {
	t.Helper()
	page, err := s.ReadOutbox(Context(t), eventmodels.OutboxRead{Scope: Scope, Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Rows
}

// Count counts the rows of a table, to which a condition may be added.
func (d *Database[ID, T, D, O]) Count(t testing.TB, table string) (n int) {
	t.Helper()
	if err := d.Admin.QueryRowContext(Context(t), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// IDOf returns the server's id of the connection of a transaction or a pool.
func (d *Database[ID, T, D, O]) IDOf(t testing.TB, tx eventmodels.AbstractTX) (id int64) {
	t.Helper()
	if err := tx.QueryRowContext(Context(t), d.backend.ConnectionID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// InsertRows commits rows, as they are, in one transaction.
func (d *Database[ID, T, D, O]) InsertRows(t testing.TB, rows ...eventmodels.OutboxRow) {
	t.Helper()
	tx, err := d.Pool.BeginTx(Context(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Dialect.InsertOutbox(Context(t), tx, Scope, rows); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// LockAndInsert does what a dialect does in a transaction, of any type that it
// knows, with the locks of some keys.
func LockAndInsert(t testing.TB, dialect eventdb.Dialect, tx any, rows []eventmodels.OutboxRow) {
	t.Helper()
	abstract, err := dialect.Transaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	if err := dialect.LockKeys(Context(t), abstract, Scope, []int{0, 7, 255}); err != nil {
		t.Fatal(err)
	}
	if err := dialect.InsertOutbox(Context(t), abstract, Scope, rows); err != nil {
		t.Fatal(err)
	}
}

// WayOf is the [Way] of a pool's transactions.
func WayOf(dialect eventdb.Dialect, pool *sql.DB) func(t testing.TB, rows []eventmodels.OutboxRow) {
	return func(t testing.TB, rows []eventmodels.OutboxRow) {
		t.Helper()
		tx, err := pool.BeginTx(Context(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		LockAndInsert(t, dialect, tx, rows)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// NewRow makes a row of a wire topic.
func NewRow(topic string) eventmodels.OutboxRow {
	return eventmodels.OutboxRow{ID: uuid.Must(uuid.NewV7()), Topic: topic, Headers: []byte{0}, CreatedAt: time.Now()}
}

// TopicsOf returns the rows' wire topics.
func TopicsOf(rows []eventmodels.OutboxRow) (topics []string) {
	for i := range rows {
		topics = append(topics, rows[i].Topic)
	}
	return topics
}

// SeqsOf returns the rows' seqs.
func SeqsOf(rows []eventmodels.OutboxRow) (seqs []int64) {
	for i := range rows {
		seqs = append(seqs, rows[i].Seq)
	}
	return seqs
}

// keysOf returns the rows' keys.
func keysOf(rows []eventmodels.OutboxRow) (keys []eventmodels.OutboxKey) {
	for i := range rows {
		keys = append(keys, rows[i].OutboxKey())
	}
	return keys
}
