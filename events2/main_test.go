package events2

import (
	"database/sql"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqltest"
	"github.com/seed46dd6f11/events/internal/s2tables"
	"github.com/seed46dd6f11/events/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is used everywhere, under shorter names.
const scope = storetest.Scope

var (
	testContext = storetest.Context
	mustExec    = storetest.MustExec
)

// emptyDatabase returns the DSN of a database of the test's own: of SingleStore
// where there is one, else of MySQL or MariaDB.
func emptyDatabase(t testing.TB) (dsn string, singleStore bool) {
	t.Helper()
	server := mysqltest.ServerDSN(t, "EVENTS_S2_DSN", "EVENTS_MYSQL_DSN")
	return mysqltest.EmptyDatabase(t, server), os.Getenv("EVENTS_S2_DSN") != ""
}

// database is one with the library's tables.
func database(t testing.TB) (dsn string, singleStore bool) {
	t.Helper()
	dsn, singleStore = emptyDatabase(t)
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
	return dsn, singleStore
}

// rawPool opens a *sql.DB that is closed at the end of the test.
func rawPool(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	return mysqltest.Pool(t, mysqltest.Changed(t, dsn, func(c *mysql.Config) { c.InterpolateParams = true }))
}

// tables is a pool of such a database.
func tables(t testing.TB) *sql.DB {
	t.Helper()
	dsn, _ := database(t)
	return rawPool(t, dsn)
}

func event(topic, key string) eventmodels.ProducingEvent { return storetest.Event(topic, key, nil) }

func newProducer() *storetest.Producer[eventmodels.BinaryEventID] {
	return new(storetest.Producer[eventmodels.BinaryEventID])
}
