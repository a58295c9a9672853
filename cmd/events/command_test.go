package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventmysql"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/events2"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/internal/mysqltest"
	"github.com/seed46dd6f11/events/internal/s2tables"
)

// A service fails to handle five events; what the command says of their
// letters, and does with them.
func TestLetters(t *testing.T) {
	onClusters(t, func(t *testing.T, brokers string) {
		prefix := "cmd-" + uuid.NewString()[:8] + "."
		mended := make(chan struct{})
		lib := eventnodb.New()
		lib.SetPrefix(prefix)
		topic := eventmodels.BindTopic[int]("orders")
		lib.ConsumeIdempotent(events.NewConsumerGroup("billing"), eventmodels.OnFailureSave, "invoice", topic.Handler(func(_ context.Context, e eventmodels.Event[int]) error {
			select {
			case <-mended:
				return nil
			default:
				return eventmodels.SetErrorHandling(fmt.Errorf("no customer %d\x1b[31m", e.Payload), eventmodels.DoNotRetry)
			}
		}))
		lib.ConfigureNoDB(nil, false, nil, nil, strings.Split(brokers, ","))
		ctx, cancel := context.WithCancel(context.Background())
		stopped := lib.StartConsumingOrPanic(ctx)
		defer func() { cancel(); <-stopped; _ = lib.Shutdown(within(t)) }()
		for n := range 5 {
			if err := lib.Produce(within(t), eventmodels.ProduceImmediate, topic.Event("k", n)); err != nil {
				t.Fatal(err)
			}
		}
		s := &shell{t, []string{"EVENTS_BROKERS=" + brokers, "EVENTS_PREFIX=" + prefix, "EVENTS_GROUP=billing"}}
		var listed []map[string]any
		for deadline := time.Now().Add(time.Minute); len(listed) < 5 && time.Now().Before(deadline); {
			listed = s.objects(0, "letters", "list")
		}
		if len(listed) != 5 || listed[0]["state"] != "saved" || listed[0]["handler"] != "invoice" || listed[0]["cursor"] == "" {
			t.Fatalf("listed: %v", listed)
		}
		id := listed[0]["id"].(string)
		out, errs := s.run(0, "letters", "list", "-limit", "2")
		s.says(out, "TIME", "no customer", "invoice", "orders", "saved")
		s.says(errs, "-after ")
		if strings.Contains(out, "\x1b") || len(strings.Split(strings.TrimSpace(out), "\n")) != 3 {
			t.Errorf("listed: %q", out)
		}
		if rest := s.objects(0, "letters", "list", "-after", strings.TrimSpace(errs[strings.Index(errs, "-after ")+7:])); len(rest) != 3 {
			t.Errorf("behind the first two, %d", len(rest))
		}
		out, _ = s.run(0, "letters", "causes")
		s.says(out, "COUNT", "5 ", "no customer")
		out, _ = s.run(0, "letters", "show", id)
		s.says(out, id, "saved", "payload", "letter", "ce_id", "yes")

		// More than one is only shown.
		out, errs = s.run(exitNeedsYes, "letters", "discard", "-handler", "invoice")
		s.says(out, "5 would be discarded", "no customer")
		s.says(errs, "-yes")
		if open := s.objects(0, "letters", "list", "-state", "open"); len(open) != 5 {
			t.Errorf("%d are open", len(open))
		}
		dry := s.objects(0, "letters", "discard", "-all", "--dry-run", "-yes")
		if len(dry) != 1 || dry[0]["dry_run"] != true || dry[0]["matched"] != 5.0 || dry[0]["done"] != 0.0 {
			t.Errorf("a dry run: %v", dry)
		}
		out, _ = s.run(0, "letters", "discard", "-reason", "old", id)
		s.says(out, "1 was discarded")
		out, _ = s.run(0, "letters", "show", id)
		s.says(out, "discarded", "ann", "old")
		_, errs = s.run(1, "letters", "replay", id)
		s.says(errs, "reopen it first")
		s.run(0, "letters", "reopen", id, "-by", "bob")
		second := listed[1]["id"].(string)
		missing := strings.Repeat("0", 32)
		out, errs = s.run(exitPart, "letters", "discard", id, second, missing, "-yes")
		s.says(out, "2 were discarded; 1 failed")
		s.says(errs, missing)
		s.run(0, "letters", "reopen", "-all", "-yes")

		// A replay that fails, and one with another payload that succeeds.
		out, _ = s.run(exitPart, "letters", "replay", id, "-wait", "50s")
		s.says(out, "failed again: no customer")
		close(mended)
		payload := filepath.Join(t.TempDir(), "payload")
		if err := os.WriteFile(payload, []byte("77"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ = s.run(0, "letters", "replay", "-payload", payload, "-wait", "50s", id)
		s.says(out, "1 was replayed", "done in")
		done := s.objects(0, "letters", "replay", "-all", "-yes", "-wait", "50s")
		if len(done) != 5 || done[0]["operation"] != "replay" || done[0]["done"] != 4.0 || done[4]["result"] != "done" {
			t.Errorf("the replays: %v", done)
		}
		if open := s.objects(0, "letters", "list", "-state", "open"); len(open) != 0 {
			t.Errorf("left: %v", open)
		}
		out, _ = s.run(0, "letters", "discard", "-all", "-yes")
		s.says(out, "0 were discarded")

		lags := s.objects(0, "lag")
		if len(lags) == 0 || lags[0]["group"] != "billing" {
			t.Errorf("lag: %v", lags)
		}
		out, _ = s.run(0, "lag", "-group", "billing")
		s.says(out, "COMMITTED", "orders")
		for _, command := range []string{"list", "causes"} { // a misspelt group is one without letters
			_, errs = s.run(0, "letters", command, "-group", "bulling")
			s.says(errs, prefix+"*.bulling.dead-letter")
		}
	})
}

// Parked events, on each database.
func TestParked(t *testing.T) {
	ctx := context.Background()
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "service.db")
		db, err := eventsqlite.Open(ctx, path, eventsqlite.WithMigrate())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		testParked(t, "sqlite:"+path, parkedRows{
			exec: func(statement string, args ...any) error {
				_, err := db.Unwrap().ExecContext(ctx, statement, args...)
				return err
			},
			bind:  func(int) string { return "?" },
			stamp: func(at time.Time) any { return at.UnixMicro() },
			id:    func(id uuid.UUID) any { return id.String() },
			key:   "key",
		})
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := os.Getenv("EVENTS_POSTGRES_DSN")
		if dsn == "" {
			if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "postgres") {
				t.Fatal("EVENTS_POSTGRES_DSN is not set, and EVENTS_REQUIRE wants PostgreSQL")
			}
			t.Skip("no PostgreSQL: EVENTS_POSTGRES_DSN is not set; scripts/services up starts one")
		}
		db, err := eventpg.Open(ctx, dsn, eventpg.WithMigrate())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		testParked(t, dsn, parkedRows{
			exec: func(statement string, args ...any) error {
				_, err := db.Unwrap().ExecContext(ctx, statement, args...)
				return err
			},
			bind:  func(n int) string { return fmt.Sprint("$", n) },
			stamp: func(at time.Time) any { return at },
			id:    func(id uuid.UUID) any { return id.String() },
			key:   "key",
		})
	})
	mysqlRows := func(db *sql.DB) parkedRows {
		return parkedRows{
			exec: func(statement string, args ...any) error {
				_, err := db.ExecContext(ctx, statement, args...)
				return err
			},
			bind:  func(int) string { return "?" },
			stamp: func(at time.Time) any { return at.UnixMicro() },
			id:    func(id uuid.UUID) any { return id[:] },
			key:   "`key`",
		}
	}
	t.Run("mysql", func(t *testing.T) {
		dsn := mysqltest.ServerDSN(t, "EVENTS_MYSQL_DSN")
		db := mysqltest.Pool(t, dsn)
		if err := eventmysql.Migrate(ctx, db); err != nil {
			t.Fatal(err)
		}
		testParked(t, "mysql:"+dsn, mysqlRows(db))
	})
	t.Run("singlestore", func(t *testing.T) {
		dsn := mysqltest.EmptyDatabase(t, mysqltest.ServerDSN(t, "EVENTS_S2_DSN", "EVENTS_MYSQL_DSN"))
		db := mysqltest.Pool(t, dsn)
		create := func() error { return s2tables.Create(ctx, db, events2.Schema) }
		if os.Getenv("EVENTS_S2_DSN") != "" {
			create = func() error { return events2.Migrate(ctx, db) }
		}
		if err := create(); err != nil {
			t.Fatal(err)
		}
		testParked(t, "singlestore:"+dsn, mysqlRows(db))
	})
}

// parkedRows writes rows as a database wants them.
type parkedRows struct {
	exec  func(statement string, args ...any) error
	bind  func(n int) string
	stamp func(time.Time) any
	id    func(uuid.UUID) any
	key   string
}

func testParked(t *testing.T, dsn string, rows parkedRows) {
	prefix := "cmd-" + uuid.NewString()[:8] + "."
	t.Cleanup(func() {
		for _, table := range []string{"events_outbox", "events_outbox_parked"} {
			if err := rows.exec("DELETE FROM "+table+" WHERE scope = "+rows.bind(1), prefix); err != nil {
				t.Log(err)
			}
		}
	})
	var ids []string
	for n := range 4 {
		id := uuid.New()
		ids = append(ids, id.String())
		values := make([]string, 10)
		for i := range values {
			values[i] = rows.bind(i + 1)
		}
		at := rows.stamp(time.Now().Add(time.Duration(n) * time.Second))
		topic := []string{"orders", "refunds"}[n%2]
		if err := rows.exec(`INSERT INTO events_outbox_parked (scope, seq, id, topic, `+rows.key+`, headers, payload, created_at, error, parked_at) VALUES (`+strings.Join(values, ",")+`)`,
			prefix, n+1, rows.id(id), prefix+topic, []byte("k"), []byte{0}, []byte("payload"), at, "too large", at); err != nil {
			t.Fatal(err)
		}
	}
	s := &shell{t, []string{"EVENTS_DSN=" + dsn, "EVENTS_PREFIX=" + prefix}}
	listed := s.objects(0, "parked", "list")
	if len(listed) != 4 || listed[0]["id"] != ids[3] || listed[0]["topic"] != "refunds" || listed[0]["error"] != "too large" || listed[0]["payload_size"] != 7.0 {
		t.Fatalf("listed: %v", listed)
	}
	out, _ := s.run(0, "parked", "list", "-topic", "orders", "-limit", "1")
	s.says(out, "PARKED", ids[2], "too large")
	if strings.Contains(out, ids[0]) || strings.Contains(out, ids[1]) {
		t.Errorf("listed: %s", out)
	}
	status := s.objects(0, "outbox", "status")
	if status[0]["rows"] != 0.0 || status[0]["parked"] != 4.0 || status[0]["lease_live"] != false {
		t.Errorf("the status: %v", status)
	}
	out, errs := s.run(exitNeedsYes, "parked", "requeue", "-topic", "orders")
	s.says(out, "2 would be requeued")
	s.says(errs, "-yes")
	out, _ = s.run(0, "parked", "requeue", "-topic", "orders", "-yes")
	s.says(out, "2 were requeued")
	out, _ = s.run(0, "parked", "discard", ids[1])
	s.says(out, "1 was discarded")
	out, errs = s.run(exitPart, "parked", "discard", ids[1], ids[3], "-yes")
	s.says(out, "1 was discarded")
	s.says(errs, "1 of the ids")
	out, _ = s.run(0, "parked", "list", "-json")
	if out != "" {
		t.Errorf("left: %s", out)
	}
	out, _ = s.run(0, "outbox", "status")
	s.says(out, "rows        2", "parked      0", "nobody has relayed yet")
}

func TestUsage(t *testing.T) {
	s := &shell{t: t}
	secret := "hunter2secret"
	for _, args := range [][]string{
		{"nonsense"}, {"letters"}, {"letters", "burn"}, {"letters", "list"}, {"letters", "list", "-nonsense"},
		{"letters", "list", "-brokers", "127.0.0.1:1"},
		{"letters", "list", "-brokers", "b", "-group", "a b"},
		{"letters", "list", "-brokers", "b", "-group", "g", "-state", "odd"},
		{"letters", "list", "-brokers", "b", "-group", "g", "-since", "yesterday"},
		{"letters", "list", "-brokers", "b", "-group", "g", "-sasl", "wrong:me:" + secret},
		{"letters", "list", "-brokers", "b", "-group", "g", "-tls", "{"},
		{"letters", "discard", "-brokers", "b", "-group", "g"},
		{"letters", "discard", "-brokers", "b", "-group", "g", "abc"},
		{"letters", "replay", "-brokers", "b", "-group", "g", "-payload", "x", "-all"},
		{"parked", "list"}, {"parked", "discard", "-dsn", "sqlite:x"}, {"parked", "discard", "-dsn", "sqlite:x", "abc"},
		{"parked", "list", "-dsn", "mysql://me:" + secret + "@h/d"},
		{"parked", "list", "-dsn", "singlestore://me:" + secret + "@h/d"},
		{"lag", "x", "-brokers", "b"},
	} {
		_, errs := s.run(exitUsage, args...)
		if errs == "" || strings.Contains(errs, secret) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %q", args, errs)
		}
	}
	for _, args := range [][]string{nil, {"help"}, {"-h"}, {"letters", "replay", "-h"}} {
		out, _ := (&shell{t, []string{"EVENTS_SASL=plain:me:" + secret}}).run(0, args...)
		if !strings.Contains(out, "usage:") || strings.Contains(out, secret) {
			t.Errorf("%v: %q", args, out)
		}
	}
	_, errs := s.run(exitUsage, "letters")
	s.says(errs, "list, causes, show, replay, discard, reopen")
	_, errs = s.run(exitUsage, "parked", "list", "-dsn", "mysql://h/d")
	s.says(errs, "mysql:user:password@tcp(host:3306)/database")
	// What cannot be reached, without a password.
	_, errs = s.run(1, "parked", "list", "-dsn", "postgres://me:"+secret+"@127.0.0.1:1/db")
	if strings.Contains(errs, secret) {
		t.Error(errs)
	}
	missing := filepath.Join(t.TempDir(), "missing.db")
	_, errs = s.run(1, "parked", "list", "-dsn", "sqlite:"+missing)
	s.says(errs, "missing.db")
	if _, err := os.Stat(missing); err == nil {
		t.Error("looking at a database has created it")
	}
}

// A command that waits ends at once, and says so, when it is interrupted.
func TestInterrupted(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // who connects gets no answer
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := &shell{t: t}
	cmd := s.command("letters", "list", "-brokers", silent.Addr().String(), "-group", "g")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := silent.Accept() // so it is at work
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
