package eventmysql

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"

	"github.com/seed46dd6f11/events/internal/mysqltest"
)

// How long locks are waited for is Open's to set, unless the DSN does.
func TestOpenSetsTheLockWait(t *testing.T) {
	dsn := emptyDatabase(t)
	for _, c := range []struct {
		dsn  string
		opts []Option
		want int
	}{
		{dsn, []Option{WithMarkWait(1500 * time.Millisecond)}, 2},
		{changed(t, dsn, func(c *mysql.Config) { c.Params = map[string]string{"innodb_lock_wait_timeout": "7"} }), nil, 7},
	} {
		db, err := Open(testContext(t), c.dsn, c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		var wait int
		if err := db.Unwrap().QueryRow("SELECT @@innodb_lock_wait_timeout").Scan(&wait); err != nil || wait != c.want {
			t.Errorf("locks are waited for for %d seconds, want %d, %v", wait, c.want, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Another driver is refused in words.
func TestDrivers(t *testing.T) {
	other, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var refused *DriverError
	if _, err := Wrap(other).OpenOutbox(testContext(t)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "go-sql-driver/mysql") {
		t.Errorf("OpenOutbox: %v", err)
	}
}

// Connections that the server has closed while they were idle cost nobody a
// transaction.
func TestIdleConnectionsThatWereClosed(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		mysqltest.KillAll(t, f.Admin)
		if err := f.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event("a", "k", nil)); return nil }); err != nil {
			t.Error(err)
		}
	}
}
