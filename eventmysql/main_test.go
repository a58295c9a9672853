package eventmysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen at once.
const patience = 30 * time.Second

// serverDSN returns the server to test with.
func serverDSN(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("EVENTS_MYSQL_DSN")
	if dsn == "" {
		const message = `EVENTS_MYSQL_DSN is not set: no MySQL or MariaDB to test with; run eval "$(scripts/services env)" after scripts/services up`
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "mysql") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return dsn
}

// emptyDatabase returns the DSN of a database of the test's own.
func emptyDatabase(t testing.TB) (dsn string) {
	t.Helper()
	server := serverDSN(t)
	name := "events_test_" + random()
	admin := rawPool(t, server)
	mustExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { mustExec(t, admin, "DROP DATABASE "+name) })
	return changed(t, server, func(c *mysql.Config) { c.DBName = name })
}

// changed returns a DSN with other settings.
func changed(t testing.TB, dsn string, change func(*mysql.Config)) string {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal("the DSN cannot be read")
	}
	change(config)
	return config.FormatDSN()
}

func random() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// rawPool opens a *sql.DB that is closed at the end of the test.
func rawPool(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// fixture is a database with tables and a fake Library.
type fixture struct {
	*DB
	dsn      string
	pool     *sql.DB // of the DB
	admin    *sql.DB // another, for looking and for interfering
	producer *fakeProducer
}

func newFixture(t testing.TB, opts ...Option) *fixture {
	t.Helper()
	dsn := emptyDatabase(t)
	db, err := Open(testContext(t), dsn, append(opts, WithMigrate())...)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{DB: db, dsn: dsn, pool: db.Unwrap().DB, admin: rawPool(t, dsn), producer: &fakeProducer{}}
	db.AugmentWithProducer(f.producer)
	t.Cleanup(func() {
		if n := f.pool.Stats().InUse; n != 0 {
			t.Errorf("%d connections were not given back", n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// begin begins a transaction that does not outlive the test.
func (f *fixture) begin(t testing.TB) *Tx {
	t.Helper()
	tx, err := f.Unwrap().BeginTx(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// beginAdmin is begin for a transaction that interferes.
func (f *fixture) beginAdmin(t testing.TB) *sql.Tx {
	t.Helper()
	tx, err := f.admin.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// store opens a store that is closed at the end of the test.
func (f *fixture) store(t testing.TB) *store {
	t.Helper()
	s, err := f.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*store)
}

// outbox returns everything in the outbox.
func (f *fixture) outbox(t testing.TB, s *store) []eventmodels.OutboxRow {
	t.Helper()
	page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Rows
}

func (f *fixture) count(t testing.TB, table string) (n int) {
	t.Helper()
	if err := f.admin.QueryRowContext(testContext(t), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustExec(t testing.TB, db eventmodels.AbstractTX, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(testContext(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// eventually asks the server until a condition holds.
func eventually(t testing.TB, db *sql.DB, condition string, args ...any) {
	t.Helper()
	ctx := testContext(t)
	for {
		var holds bool
		var slept int
		// The server waits, so that its clock and ours are not needed.
		if err := db.QueryRowContext(ctx, "SELECT ("+condition+"), SLEEP(0.005)", args...).Scan(&holds, &slept); err != nil {
			t.Fatalf("waiting for %s: %v", condition, err)
		}
		if holds {
			return
		}
	}
}

// idOf returns the server's id of a connection or transaction.
func idOf(t testing.TB, tx eventmodels.AbstractTX) (id int64) {
	t.Helper()
	if err := tx.QueryRowContext(testContext(t), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// awaitBlocked returns once n connections of the test's database wait in a
// statement that begins with text. (information_schema.innodb_trx would say it
// better, but shows nothing new to those who ask all the time.)
func (f *fixture) awaitBlocked(t testing.TB, text string, n int) {
	t.Helper()
	var version string
	if err := f.admin.QueryRowContext(testContext(t), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	blocked := "information_schema.processlist WHERE time_ms > 20"
	if !strings.Contains(version, "MariaDB") {
		blocked = `performance_schema.data_lock_waits AS w JOIN performance_schema.threads AS th ON th.thread_id = w.requesting_thread_id
			JOIN information_schema.processlist AS p ON p.id = th.processlist_id WHERE TRUE`
	}
	eventually(t, f.admin, "SELECT COUNT(*) = ? FROM "+blocked+" AND command = 'Query' AND db = DATABASE() AND info LIKE ?", n, text+"%")
}

const scope = "test."

// event is a ProducingEvent.
type event struct {
	topic, key string
	payload    []byte
}

func (e event) GetKey() string                  { return e.key }
func (e event) GetTimestamp() time.Time         { return time.Time{} }
func (e event) GetTopic() string                { return e.topic }
func (e event) GetHeaders() map[string][]string { return nil }

// fakeProducer is a Library as far as a database needs one.
type fakeProducer struct {
	mu       sync.Mutex
	produced map[string][]eventmodels.BinaryEventID
	err      error // of ProduceFromTable
	recorded []error
}

var errUnknownTopic = fmt.Errorf("topic is not registered")

func (p *fakeProducer) EncodeOutbox(_ context.Context, e eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	if e.GetTopic() == "unknown" {
		return eventmodels.OutboxRow{}, errUnknownTopic
	}
	row := eventmodels.OutboxRow{
		ID: eventmodels.BinaryEventID{}.New().UUID, Topic: scope + e.GetTopic(), Headers: []byte{0},
		Payload: e.(event).payload, CreatedAt: time.Now(),
	}
	if e.GetKey() != "" {
		row.Key = []byte(e.GetKey())
	}
	return row, nil
}

func (p *fakeProducer) ProduceFromTable(_ context.Context, ids map[string][]eventmodels.BinaryEventID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.produced == nil {
		p.produced = map[string][]eventmodels.BinaryEventID{}
	}
	for topic, ids := range ids {
		p.produced[topic] = append(p.produced[topic], ids...)
	}
	return p.err
}

func (p *fakeProducer) TopicOf(wireTopic string) string { return strings.TrimPrefix(wireTopic, scope) }
func (p *fakeProducer) Scope() string                   { return scope }

func (p *fakeProducer) RecordErrorNoWait(_ string, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recorded = append(p.recorded, err)
	return err
}

// insertRows commits rows, as they are, in one transaction.
func (f *fixture) insertRows(t testing.TB, rows ...eventmodels.OutboxRow) {
	t.Helper()
	tx, err := f.pool.BeginTx(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (dialect{}).InsertOutbox(testContext(t), tx, scope, rows); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func newRow(topic string) eventmodels.OutboxRow {
	return eventmodels.OutboxRow{ID: eventmodels.BinaryEventID{}.New().UUID, Topic: topic, Headers: []byte{0}, CreatedAt: time.Now()}
}

var _ eventdb.Dialect = dialect{}
