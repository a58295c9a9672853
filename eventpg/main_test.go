package eventpg

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is used everywhere, under shorter names.
const (
	scope    = storetest.Scope
	cluster  = storetest.Cluster
	ttl      = storetest.TTL
	patience = storetest.Patience
)

var (
	errTest     = storetest.ErrTest
	testContext = storetest.Context
	mustExec    = storetest.MustExec
	mustAcquire = storetest.MustAcquire
	outbox      = storetest.Outbox
	newRow      = storetest.NewRow
	topicsOf    = storetest.TopicsOf
	markOf      = storetest.MarkOf
	event       = storetest.Event
)

type (
	backend  = storetest.Backend[eventmodels.StringEventID, *Tx, *DB, Option]
	database = storetest.Database[eventmodels.StringEventID, *Tx, *DB, Option]
	producer = storetest.Producer[eventmodels.StringEventID]
)

// serverDSN returns the server to test with.
func serverDSN(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("EVENTS_POSTGRES_DSN")
	if dsn == "" {
		const message = `EVENTS_POSTGRES_DSN is not set: no PostgreSQL to test with; run eval "$(scripts/services env)" after scripts/services up`
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "postgres") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return dsn
}

// withParams adds connection parameters to a DSN.
func withParams(dsn string, params ...string) string {
	separator := " "
	if strings.Contains(dsn, "://") {
		separator = "&"
		if !strings.Contains(dsn, "?") {
			dsn, separator = dsn+"?", ""
		}
	}
	return dsn + separator + strings.Join(params, separator)
}

// emptySchema returns the DSN of a schema of the test's own.
func emptySchema(t testing.TB) (dsn string) {
	t.Helper()
	server := serverDSN(t)
	name := "events_test_" + random()
	admin := rawPool(t, server)
	mustExec(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() { mustExec(t, admin, "DROP SCHEMA "+name+" CASCADE") })
	return withParams(server, "search_path="+name)
}

func random() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// rawPool opens a *sql.DB that is closed at the end of the test.
func rawPool(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	config, err := parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	pool := stdlib.OpenDB(*config)
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
	d := suite.NewDatabase(t, opts...)
	return &fixture{DB: d.Opened, database: d}
}

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
		// The server waits, so that its clock and ours are not needed.
		if err := db.QueryRowContext(ctx, "SELECT ("+condition+") FROM pg_sleep(0.005)", args...).Scan(&holds); err != nil {
			t.Fatalf("waiting for %s: %v", condition, err)
		}
		if holds {
			return
		}
	}
}

// pidOf returns the server process of a connection or transaction.
func pidOf(t testing.TB, tx eventmodels.AbstractTX) (pid int) {
	t.Helper()
	if err := tx.QueryRowContext(testContext(t), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}
