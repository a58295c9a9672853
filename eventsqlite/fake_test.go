package eventsqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

const testScope = "test."

// fakeProducer is a Library as a connection sees it.
type fakeProducer struct {
	after func() // called by ProduceFromTable; may be nil

	mu       sync.Mutex
	produced map[string][]eventmodels.StringEventID
	errs     []error
}

// fakeEvent is an event that comes with its row.
type fakeEvent struct {
	row eventmodels.OutboxRow
	err error
}

func (fakeEvent) GetKey() string                  { return "" }
func (fakeEvent) GetTimestamp() time.Time         { return time.Time{} }
func (e fakeEvent) GetTopic() string              { return e.row.Topic }
func (fakeEvent) GetHeaders() map[string][]string { return nil }

func (p *fakeProducer) EncodeOutbox(_ context.Context, event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	e := event.(fakeEvent)
	return e.row, e.err
}

func (p *fakeProducer) ProduceFromTable(_ context.Context, ids map[string][]eventmodels.StringEventID) error {
	p.mu.Lock()
	if p.produced == nil {
		p.produced = make(map[string][]eventmodels.StringEventID)
	}
	for topic, list := range ids {
		p.produced[topic] = append(p.produced[topic], list...)
	}
	p.mu.Unlock()
	if p.after != nil {
		p.after()
	}
	return nil
}

func (p *fakeProducer) TopicOf(wireTopic string) string { return wireTopic }
func (p *fakeProducer) Scope() string                   { return testScope }

func (p *fakeProducer) RecordErrorNoWait(_ string, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
	return err
}

// event makes an event with this payload.
func event(topic, payload string) fakeEvent {
	return fakeEvent{row: eventmodels.OutboxRow{
		ID: uuid.Must(uuid.NewV7()), Topic: topic, Key: []byte("key"), Headers: []byte{0}, Payload: []byte(payload),
		CreatedAt: time.Now(),
	}}
}

// openTest opens a database that has the library's tables and a table t, and
// is connected to a Library.
func openTest(t testing.TB, opts ...Option) *DB {
	t.Helper()
	db := openAt(t, filepath.Join(t.TempDir(), "test.db"), opts...)
	db.AugmentWithProducer(&fakeProducer{})
	mustExec(t, db.Unwrap(), `CREATE TABLE t (id INTEGER PRIMARY KEY, v)`)
	return db
}

func openAt(t testing.TB, path string, opts ...Option) *DB {
	t.Helper()
	db, err := Open(context.Background(), path, append(opts, WithMigrate())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openTestStore(t testing.TB, db *DB) eventmodels.OutboxStore {
	t.Helper()
	s, err := db.OpenOutbox(context.Background())
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

// executor is what mustExec needs.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func mustExec(t testing.TB, db executor, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// value returns the only value of a query.
func value[T any](t testing.TB, db rowQueryer, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func transact(t testing.TB, db *DB, fn func(tx *Tx) error) {
	t.Helper()
	if err := db.Transact(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// produce commits events in one transaction.
func produce(t testing.TB, db *DB, events ...fakeEvent) {
	t.Helper()
	transact(t, db, func(tx *Tx) error {
		for _, e := range events {
			tx.Produce(e)
		}
		return nil
	})
}

// readAll reads the outbox from the beginning.
func readAll(t testing.TB, s eventmodels.OutboxStore, scope string) []eventmodels.OutboxRow {
	t.Helper()
	page, err := s.ReadOutbox(context.Background(), eventmodels.OutboxRead{Scope: scope, Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if page.Proof != eventmodels.ProofSerial {
		t.Errorf("proof %v", page.Proof)
	}
	return page.Rows
}

func markOf(s string) (m eventmodels.Mark) {
	copy(m[:], s)
	return m
}

// sameBytes tells nil from empty.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

var errTest = errors.New("test")

// usable checks that the next transaction works.
func usable(t testing.TB, db *DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 2 * DefaultMaxConnections { // each connection of the pool, more or less
		err := db.Transact(ctx, func(tx *Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO t (v) VALUES ('usable')`)
			return err
		})
		if err != nil {
			t.Fatalf("the next transaction: %v", err)
		}
	}
	mustExec(t, db.Unwrap(), `DELETE FROM t WHERE v = 'usable'`)
}

func ids(rows []eventmodels.OutboxRow) []string {
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = fmt.Sprint(rows[i].ID)
	}
	return out
}
