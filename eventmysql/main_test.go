package eventmysql

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is used everywhere, under shorter names.
const (
	scope   = storetest.Scope
	cluster = storetest.Cluster
	ttl     = storetest.TTL
)

var (
	testContext = storetest.Context
	mustExec    = storetest.MustExec
	mustAcquire = storetest.MustAcquire
	outbox      = storetest.Outbox
	newRow      = storetest.NewRow
	markOf      = storetest.MarkOf
	event       = storetest.Event
)

type (
	backend  = storetest.Backend[eventmodels.BinaryEventID, *Tx, *DB, Option]
	database = storetest.Database[eventmodels.BinaryEventID, *Tx, *DB, Option]
)

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
	*database
}

func newFixture(t testing.TB, opts ...Option) *fixture {
	t.Helper()
	return fixtureOf(suite.NewDatabase(t, opts...))
}

func fixtureOf(d *database) *fixture { return &fixture{DB: d.Opened, database: d} }

// store opens a store that is closed at the end of the test.
func (f *fixture) store(t testing.TB) *store {
	t.Helper()
	return f.OpenStore(t).(*store)
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

// awaitBlocked returns once n connections of the test's database wait in a
// statement that begins with text. (information_schema.innodb_trx would say it
// better, but shows nothing new to those who ask all the time.)
func awaitBlocked(t testing.TB, admin *sql.DB, text string, n int) {
	t.Helper()
	var version string
	if err := admin.QueryRowContext(testContext(t), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	blocked := "information_schema.processlist WHERE time_ms > 20"
	if !strings.Contains(version, "MariaDB") {
		blocked = `performance_schema.data_lock_waits AS w JOIN performance_schema.threads AS th ON th.thread_id = w.requesting_thread_id
			JOIN information_schema.processlist AS p ON p.id = th.processlist_id WHERE TRUE`
	}
	eventually(t, admin, "SELECT COUNT(*) = ? FROM "+blocked+" AND command = 'Query' AND db = DATABASE() AND info LIKE ?", n, text+"%")
}
