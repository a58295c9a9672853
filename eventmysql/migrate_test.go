package eventmysql

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/mysqltest"
)

// Tables of an older version are told from those that are missing nothing, and
// brought up to date, also when that was cut short before.
func TestMigrateOlderTables(t *testing.T) {
	for _, half := range []bool{false, true} {
		pool := rawPool(t, emptyDatabase(t))
		first, err := fs.ReadFile(Schema, "001_outbox.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range append(mysqldb.Statements(string(first)), migration.VersionTable, "INSERT INTO events_schema (version) VALUES (1)") {
			mustExec(t, pool, statement)
		}
		if err := CheckSchema(testContext(t), pool); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "done_to") {
			t.Errorf("before: %v", err)
		}
		if half {
			mustExec(t, pool, "ALTER TABLE events_lease ADD COLUMN done_to bigint NOT NULL DEFAULT 0")
		}
		if err := Migrate(testContext(t), pool); err != nil {
			t.Fatal(err)
		}
		if err := CheckSchema(testContext(t), pool); err != nil {
			t.Error(err)
		}
	}
}

// What was cut short is completed by the next.
func TestMigrateGoesOn(t *testing.T) {
	pool := rawPool(t, emptyDatabase(t))
	mustExec(t, pool, "CREATE VIEW events_key_locks AS SELECT 1 AS one") // in the way of a later statement
	if err := Migrate(testContext(t), pool); err == nil {
		t.Fatal("no error")
	}
	mustExec(t, pool, "DROP VIEW events_key_locks")
	if err := Migrate(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
	if err := CheckSchema(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
}

// The wait for another instance's migration ends with the context.
func TestMigrateWaitsNoLongerThanItsContext(t *testing.T) {
	pool := rawPool(t, emptyDatabase(t))
	conn, err := pool.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := migration.Lock(testContext(t), conn); err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- Migrate(waiting, pool) }()
	eventually(t, pool, "SELECT COUNT(*) = 1 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'SELECT GET_LOCK%'")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("error: %v", err)
	}
	if err := migration.Unlock(testContext(t), conn); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
}

func TestTablesWithoutTransactions(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "ALTER TABLE events_marks ENGINE = MyISAM")
	if err := CheckSchema(testContext(t), f.Admin); !isServerError(err, "events_marks") {
		t.Fatalf("error: %v", err)
	}
}

func isServerError(err error, setting string) bool {
	var server *ServerError
	return errors.As(err, &server) && server.Setting == setting && strings.Contains(err.Error(), server.Value)
}

// The relay refuses a server that draws every second number, also where only
// its own sessions do.
func TestIncrement(t *testing.T) {
	f := newFixture(t)
	strange := rawPool(t, changed(t, f.DSN, func(c *mysql.Config) { c.Params = map[string]string{"auto_increment_increment": "2"} }))
	if _, err := Wrap(strange).OpenOutbox(testContext(t)); !isServerError(err, "auto_increment_increment") {
		t.Errorf("OpenOutbox: %v", err)
	}
}

// The rights that the package's documentation names are enough without key
// locks: tables that a user has no right on are not shown to it.
func TestRights(t *testing.T) {
	f := newFixture(t)
	user := "u" + mysqltest.Random()
	mustExec(t, f.Admin, "CREATE USER "+user+"@'%' IDENTIFIED BY 'x'")
	t.Cleanup(func() { mustExec(t, f.Admin, "DROP USER "+user+"@'%'") })
	for _, table := range []string{"events_outbox", "events_outbox_parked", "events_lease", "events_marks"} {
		mustExec(t, f.Admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+table+" TO "+user+"@'%'")
	}
	mustExec(t, f.Admin, "GRANT SELECT ON events_schema TO "+user+"@'%'")
	db, err := Open(testContext(t), changed(t, f.DSN, func(c *mysql.Config) { c.User, c.Passwd = user, "x" }), WithMigrate())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := db.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, held, err := s.AcquireLease(testContext(t), scope, "a", cluster, ttl); err != nil || !held {
		t.Errorf("the lease: %v, %v", held, err)
	}
	if _, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 10}); err != nil {
		t.Errorf("reading: %v", err)
	}
	if _, err := s.DeleteMarks(testContext(t), 0, 10); err != nil {
		t.Errorf("deleting marks: %v", err)
	}
}

func TestFacts(t *testing.T) {
	all := map[string]string{"events_outbox": "InnoDB", "events_outbox_parked": "InnoDB", "events_lease": "InnoDB", "events_marks": "InnoDB", "events_key_locks": "InnoDB"}
	for name, c := range map[string]struct {
		version  string
		settings map[string]string
		refused  string // the setting
		concerns int
	}{
		"MariaDB":               {"10.11.19-MariaDB-0+deb12u1", nil, "", 0},
		"MariaDB 11":            {"11.4.2-MariaDB-log", nil, "", 0},
		"MySQL":                 {"8.4.2", nil, "", 0},
		"the oldest MySQL":      {"8.0.19-commercial", nil, "", 0},
		"an older MySQL":        {"8.0.18", nil, "version", 0},
		"MySQL 5":               {"5.7.44-log", nil, "version", 0},
		"an old MariaDB":        {"10.5.27-MariaDB", nil, "version", 0},
		"no version":            {"?", nil, "version", 0},
		"increment":             {"8.4.2", map[string]string{"auto_increment_increment": "3"}, "auto_increment_increment", 0},
		"statements replicated": {"8.4.2", map[string]string{"log_bin": "ON", "binlog_format": "STATEMENT", "sync_binlog": "1"}, "binlog_format", 0},
		"no binary log":         {"8.4.2", map[string]string{"log_bin": "OFF", "binlog_format": "STATEMENT", "sync_binlog": "0"}, "", 0},
		"lazy":                  {"8.4.2", map[string]string{"innodb_flush_log_at_trx_commit": "2"}, "", 1},
		"MariaDB's three":       {"10.11.19-MariaDB", map[string]string{"innodb_flush_log_at_trx_commit": "3"}, "", 0},
		"torn pages":            {"8.4.2", map[string]string{"innodb_doublewrite": "OFF"}, "", 1},
		"lazy log":              {"8.4.2", map[string]string{"log_bin": "ON", "binlog_format": "ROW", "sync_binlog": "0"}, "", 1},
		"small packets":         {"8.4.2", map[string]string{"max_allowed_packet": "1048576"}, "", 1},
	} {
		f := facts{version: c.version, increment: "1", engines: all, current: true, settings: map[string]string{
			"auto_increment_increment": "1", "innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "ON", "max_allowed_packet": "16777216"}}
		for setting, value := range c.settings {
			f.settings[setting] = value
		}
		err := f.err()
		if c.refused == "" && err != nil || c.refused != "" && !isServerError(err, c.refused) {
			t.Errorf("%s: %v", name, err)
		}
		if concerns := f.concerns(); len(concerns) != c.concerns {
			t.Errorf("%s: %q", name, concerns)
		}
	}
	s := newFixture(t).store(t)
	if concerns, err := s.Concerns(testContext(t)); err != nil || len(concerns) != 0 {
		t.Errorf("the server of the tests: %q, %v", concerns, err)
	}
}
