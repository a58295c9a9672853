// Package mysqltest is the MySQL or MariaDB server that eventmysql is tested
// with, and events2 where there is no SingleStore.
package mysqltest

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// ServerDSN returns the server of the first of these variables that is set. If
// none is, the test is skipped.
func ServerDSN(t testing.TB, variables ...string) string {
	t.Helper()
	for _, name := range variables {
		if dsn := os.Getenv(name); dsn != "" {
			return dsn
		}
	}
	message := strings.Join(variables, " and ") + ` not set: no server to test with; run eval "$(scripts/services env)" after scripts/services up`
	if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "mysql") {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// EmptyDatabase makes a database on the server, which is dropped at the end of
// the test.
func EmptyDatabase(t testing.TB, server string) (dsn string) {
	t.Helper()
	name := "events_test_" + Random()
	admin := Pool(t, server)
	storetest.MustExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { storetest.MustExec(t, admin, "DROP DATABASE "+name) })
	return Changed(t, server, func(c *mysql.Config) { c.DBName = name })
}

// Changed returns a DSN with other settings.
func Changed(t testing.TB, dsn string, change func(*mysql.Config)) string {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal("the DSN cannot be read")
	}
	change(config)
	return config.FormatDSN()
}

// Random returns a part of a name that nobody else uses.
func Random() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Pool opens a *sql.DB that is closed at the end of the test.
func Pool(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// Eventually asks the server until a condition holds.
func Eventually(t testing.TB, db *sql.DB, condition string, args ...any) {
	t.Helper()
	ctx := storetest.Context(t)
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

// AwaitBlocked returns once n connections of the test's database wait in a
// statement that begins with text. (information_schema.innodb_trx would say it
// better, but shows nothing new to those who ask all the time.)
func AwaitBlocked(t testing.TB, admin *sql.DB, text string, n int) {
	t.Helper()
	var version string
	if err := admin.QueryRowContext(storetest.Context(t), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	blocked := "information_schema.processlist WHERE time_ms > 20"
	if !strings.Contains(version, "MariaDB") {
		blocked = `performance_schema.data_lock_waits AS w JOIN performance_schema.threads AS th ON th.thread_id = w.requesting_thread_id
			JOIN information_schema.processlist AS p ON p.id = th.processlist_id WHERE TRUE`
	}
	Eventually(t, admin, "SELECT COUNT(*) = ? FROM "+blocked+" AND command = 'Query' AND db = DATABASE() AND info LIKE ?", n, text+"%")
}

// KillAll ends all connections to the test's database but the one that asks.
func KillAll(t testing.TB, admin *sql.DB) {
	t.Helper()
	ctx := storetest.Context(t)
	conn, err := admin.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := conn.ExecContext(ctx, fmt.Sprint("KILL ", id)); err != nil && mysqldb.Number(err) != 1094 { // unknown: gone meanwhile
			t.Fatal(err)
		}
	}
	for n := 1; n > 0; {
		err := conn.QueryRowContext(ctx, "SELECT COUNT(*), SLEEP(0.002) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()").Scan(&n, new(int))
		if err != nil {
			t.Fatal(err)
		}
	}
}
