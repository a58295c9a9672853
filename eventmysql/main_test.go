package eventmysql

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqltest"
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
	changed    = mysqltest.Changed
	rawPool    = mysqltest.Pool
	eventually = mysqltest.Eventually

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
	return mysqltest.ServerDSN(t, "EVENTS_MYSQL_DSN")
}

// emptyDatabase returns the DSN of a database of the test's own.
func emptyDatabase(t testing.TB) (dsn string) {
	t.Helper()
	return mysqltest.EmptyDatabase(t, serverDSN(t))
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
