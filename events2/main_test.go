package events2

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/s2tables"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen at once.
const patience = 30 * time.Second

const scope = "test."

// emptyDatabase returns the DSN of a database of the test's own: of SingleStore
// where there is one, else of MySQL or MariaDB.
func emptyDatabase(t testing.TB) (dsn string, singleStore bool) {
	t.Helper()
	server := os.Getenv("EVENTS_S2_DSN")
	singleStore = server != ""
	if !singleStore {
		server = os.Getenv("EVENTS_MYSQL_DSN")
	}
	if server == "" {
		const message = `neither EVENTS_S2_DSN nor EVENTS_MYSQL_DSN is set: no server to test with; run eval "$(scripts/services env)" after scripts/services up`
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "mysql") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	config, err := mysql.ParseDSN(server)
	if err != nil {
		t.Fatal("the DSN cannot be read")
	}
	var b [6]byte
	_, _ = rand.Read(b[:])
	name := "events_test_" + hex.EncodeToString(b[:])
	admin := rawPool(t, server)
	mustExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { mustExec(t, admin, "DROP DATABASE "+name) })
	config.DBName = name
	return config.FormatDSN(), singleStore
}

// database is one with the library's tables.
func database(t testing.TB) (dsn string) {
	t.Helper()
	dsn, singleStore := emptyDatabase(t)
	pool := rawPool(t, dsn)
	var err error
	if singleStore {
		err = Migrate(testContext(t), pool)
	} else {
		err = s2tables.Create(testContext(t), pool, Schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// rawPool opens a *sql.DB that is closed at the end of the test.
func rawPool(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal("the DSN cannot be read")
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	t.Cleanup(func() { _ = pool.Close() })
	return pool
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

func newRow(topic string) eventmodels.OutboxRow {
	return eventmodels.OutboxRow{ID: eventmodels.BinaryEventID{}.New().UUID, Topic: topic, Headers: []byte{0}, CreatedAt: time.Now()}
}

// event is a ProducingEvent.
type event struct{ topic, key string }

func (e event) GetKey() string                  { return e.key }
func (e event) GetTimestamp() time.Time         { return time.Time{} }
func (e event) GetTopic() string                { return e.topic }
func (e event) GetHeaders() map[string][]string { return nil }

// fakeProducer is a Library as far as a database needs one.
type fakeProducer struct{}

func (fakeProducer) EncodeOutbox(_ context.Context, e eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	row := newRow(scope + e.GetTopic())
	if e.GetKey() != "" {
		row.Key = []byte(e.GetKey())
	}
	return row, nil
}

func (fakeProducer) ProduceFromTable(context.Context, map[string][]eventmodels.BinaryEventID) error {
	return nil
}
func (fakeProducer) TopicOf(wireTopic string) string             { return strings.TrimPrefix(wireTopic, scope) }
func (fakeProducer) Scope() string                               { return scope }
func (fakeProducer) RecordErrorNoWait(_ string, err error) error { return err }
