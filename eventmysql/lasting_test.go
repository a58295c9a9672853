package eventmysql

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
)

// ownServer is a MariaDB of the test's own, which it can crash.
type ownServer struct {
	name, dsn string
	admin     *sql.DB // of the present run
}

// connect makes admin.
func (s *ownServer) connect(t *testing.T) {
	t.Helper()
	pool, err := sql.Open("mysql", s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	s.admin = pool
}

// startOwnServer starts one where the tests' servers were started by
// scripts/services, and not in containers.
func startOwnServer(t *testing.T) *ownServer {
	t.Helper()
	serverDSN(t)
	run := os.Getenv("EVENTS_SERVICES_RUN")
	if _, err := os.Stat(filepath.Join(run, "compose")); run == "" || err == nil {
		const message = "the servers are not of scripts/services, or run in containers, so that no other one is started"
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "mysql") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s := &ownServer{name: fmt.Sprintf("lasting-%d", os.Getpid())}
	t.Cleanup(func() { s.do(t, "down") })
	s.do(t, "up", "--mysql-only", "--owner", fmt.Sprint(os.Getpid()))
	found := regexp.MustCompile(`(?m)^export EVENTS_MYSQL_DSN='(.*)'$`).FindStringSubmatch(s.do(t, "env"))
	if found == nil {
		t.Fatal("scripts/services env names no database")
	}
	s.dsn = found[1]
	s.connect(t)
	t.Cleanup(func() { _ = s.admin.Close() })
	return s
}

// do runs scripts/services and returns what it prints.
func (s *ownServer) do(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("../scripts/services", append(args, "--name", s.name)...)
	command.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return regexp.MustCompile(`^EVENTS_(SERVICES|KAFKA|POSTGRES|MYSQL)`).MatchString(v) && !strings.HasPrefix(v, "EVENTS_MYSQL_BIN=")
	})
	command.Env = append(command.Env, "EVENTS_DOCKER=off")
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("scripts/services %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return string(out)
}

// crash kills the server, and starts it again.
func (s *ownServer) crash(t *testing.T) {
	t.Helper()
	_ = s.admin.Close()
	s.do(t, "mysql-stop", "immediate")
	s.do(t, "mysql-start")
	s.connect(t)
}

// unflushed runs what commits, so that it is as other sessions see a commit that
// the server is about to flush: done, and not on the disk.
func (s *ownServer) unflushed(t *testing.T, commit func()) {
	t.Helper()
	mustExec(t, s.admin, "SET GLOBAL innodb_flush_log_at_timeout = 2700")
	mustExec(t, s.admin, "SET GLOBAL innodb_flush_log_at_trx_commit = 0")
	commit()
	mustExec(t, s.admin, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
}

// exists asks the server that runs now.
func (s *ownServer) exists(t *testing.T, query string, args ...any) (found bool) {
	t.Helper()
	if err := s.admin.QueryRowContext(testContext(t), "SELECT EXISTS ("+query+")", args...).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

// A crash of a server without binary log takes back what it has shown, but not
// what the relay has read, nor an effect for which a delivery was acknowledged.
func TestWhatWasSeenLasts(t *testing.T) {
	s := startOwnServer(t)
	f := fixtureOf(suite.NewDatabaseAt(t, s.dsn))
	store := f.store(t)
	mark := eventmodels.Mark{1}

	t.Run("as it is", func(t *testing.T) {
		// The background may flush, too: not every time.
		for range 10 {
			row := newRow("a")
			s.unflushed(t, func() { f.InsertRows(t, row) })
			const query = "SELECT 1 FROM events_outbox WHERE id = ?"
			if !s.exists(t, query, row.ID[:]) {
				t.Fatal("a commit is not seen")
			}
			s.crash(t)
			if !s.exists(t, query, row.ID[:]) {
				return
			}
		}
		t.Error("the server never took back what it had shown: this test shows nothing")
	})
	t.Run("the relay", func(t *testing.T) {
		row := newRow("a")
		s.unflushed(t, func() { f.InsertRows(t, row) })
		if !slices.ContainsFunc(f.outboxOnceUp(t, store), func(r eventmodels.OutboxRow) bool { return r.ID == row.ID }) {
			t.Fatal("the row was not read")
		}
		s.crash(t)
		if !s.exists(t, "SELECT 1 FROM events_outbox WHERE id = ?", row.ID[:]) {
			t.Error("a row that the relay has read is gone")
		}
	})
	t.Run("exactly once", func(t *testing.T) {
		once := func(fn func(*Tx, []bool) error) {
			t.Helper()
			for {
				err := f.TransactOnce(testContext(t), []eventmodels.Mark{mark}, fn)
				if err == nil {
					return
				}
				if f.Fault(err) != eventmodels.FaultAway { // connections of before the crash
					t.Fatal(err)
				}
			}
		}
		s.unflushed(t, func() { once(func(*Tx, []bool) error { return nil }) })
		once(func(*Tx, []bool) error {
			t.Error("the mark was not found")
			return nil
		})
		s.crash(t)
		if !s.exists(t, "SELECT 1 FROM events_marks WHERE k = ?", mark[:]) {
			t.Error("a mark that was found is gone")
		}
		if s.exists(t, "SELECT 1 FROM events_marks WHERE k <> ?", mark[:]) {
			t.Error("there is a mark of no event")
		}
	})
}

// outboxOnceUp is outbox after a crash, of which the store's connections do not
// know yet.
func (f *fixture) outboxOnceUp(t *testing.T, s *store) []eventmodels.OutboxRow {
	t.Helper()
	for {
		page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 1000})
		if err == nil {
			return page.Rows
		}
		if f.Fault(err) != eventmodels.FaultAway {
			t.Fatal(err)
		}
	}
}

// With the binary log nothing is written for the relay's reads.
func TestShowsEarly(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	l := mustAcquire(t, s, "a")
	f.InsertRows(t, newRow("a"))
	end := func() (expires int64) {
		t.Helper()
		if err := f.Admin.QueryRowContext(testContext(t), "SELECT expires_at FROM events_lease WHERE scope = ?", []byte(l.Scope)).Scan(&expires); err != nil {
			t.Fatal(err)
		}
		return expires
	}
	outbox(t, s) // there are two connections for it
	outbox(t, s)
	for _, early := range []bool{false, true} {
		s.early.Store(early)
		before := end()
		outbox(t, s)
		if changed := end() != before; changed != early {
			t.Errorf("commits are shown early: %v; something was written: %v", early, changed)
		}
		before = end()
		if _, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Hint: 1 << 40, Limit: 1}); err != nil || end() != before {
			t.Errorf("a read without rows has written; %v", err)
		}
	}
	var settings struct{ binlog, sync string }
	err := s.connections.Work(testContext(t), func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT @@GLOBAL.log_bin, @@GLOBAL.sync_binlog").Scan(&settings.binlog, &settings.sync)
	})
	if err != nil {
		t.Fatal(err)
	}
	fresh := f.store(t)
	if want := settings.binlog != "1" || settings.sync != "1"; fresh.early.Load() != want {
		t.Errorf("%+v, and commits are taken to be shown early: %v", settings, fresh.early.Load())
	}
}

// counting counts the rows that the statements of a transaction change.
type counting struct {
	eventmodels.AbstractTX
	changed int64
}

func (c *counting) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := c.AbstractTX.ExecContext(ctx, query, args...)
	if err == nil {
		n, _ := result.RowsAffected()
		c.changed += n
	}
	return result, err
}

// A transaction that is to outlast a crash has changed something, however its
// parameters travel, and leaves nothing behind.
func TestOutlast(t *testing.T) {
	f := newFixture(t)
	var want int64 // a mark that comes and goes, where commits are shown early
	if err := f.Admin.QueryRowContext(testContext(t), "SELECT 2 * ("+showsEarly+")").Scan(&want); err != nil {
		t.Fatal(err)
	}
	for _, interpolated := range []bool{true, false} {
		pool := rawPool(t, changed(t, f.DSN, func(c *mysql.Config) {
			c.InterpolateParams = interpolated
			c.Params = map[string]string{"sql_mode": "'STRICT_ALL_TABLES'"}
		}))
		for range 8 { // the mark is another one each time
			tx, err := pool.BeginTx(testContext(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			counted := counting{AbstractTX: tx}
			if err := (dialect{}).Outlast(testContext(t), &counted); err != nil || counted.changed != want {
				t.Errorf("interpolated %v: %d changes, want %d, %v", interpolated, counted.changed, want, err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if n := f.Count(t, "events_marks"); n != 0 {
			t.Errorf("interpolated %v: %d marks are left", interpolated, n)
		}
	}
}
