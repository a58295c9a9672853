package eventpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/eventmodels"
)

// The store's sessions are its own, whatever the defaults are.
func TestStoreSessions(t *testing.T) {
	server := serverDSN(t)
	admin := rawPool(t, server)
	name := "events_test_" + random()
	mustExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { mustExec(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	for _, setting := range []string{"default_transaction_isolation = 'serializable'", "default_transaction_read_only = on", "statement_timeout = '1s'"} {
		mustExec(t, admin, "ALTER DATABASE "+name+" SET "+setting)
	}
	own := changed(t, func(u *url.URL) { u.Path = "/" + name })
	able := rawPool(t, withParams(own, "default_transaction_read_only=off", "statement_timeout=0", "application_name=billing"))
	if err := Migrate(testContext(t), able); err != nil {
		t.Fatal(err)
	}
	db := Wrap(rawPool(t, withParams(own, "application_name=billing", "search_path=public")))
	opened, err := db.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*store)
	defer s.Close()
	for setting, want := range map[string]string{
		"transaction_isolation": "read committed", "transaction_read_only": "off", "statement_timeout": "30s",
		"application_name": "billing: events relay", "plan_cache_mode": "force_generic_plan", "search_path": "public",
	} {
		for _, do := range []func(context.Context, func(context.Context, *pgx.Conn) error) error{s.do, s.doLease} {
			err := do(testContext(t), func(ctx context.Context, conn *pgx.Conn) error {
				var got string
				err := conn.QueryRow(ctx, "SELECT current_setting($1)", setting).Scan(&got)
				if got != want {
					t.Errorf("%s is %q, want %q", setting, got, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}

	// Two that renew and take at once would fail to serialize otherwise.
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for range 10 {
				if _, _, err := s.AcquireLease(testContext(t), scope, fmt.Sprint(i), cluster, ttl); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// Exactly-once transactions do not depend on the default either.
func TestTransactOnceWhereSerializableIsTheDefault(t *testing.T) {
	f := newFixture(t)
	pool := rawPool(t, withParams(f.DSN, "default_transaction_isolation=serializable"))
	db := Wrap(pool)
	err := db.TransactOnce(testContext(t), []eventmodels.Mark{{1}}, func(tx *Tx, _ []bool) error {
		var level string
		err := tx.QueryRowContext(testContext(t), "SHOW transaction_isolation").Scan(&level)
		if level != "read committed" {
			t.Errorf("isolation: %s", level)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The application's pool may be exhausted: the relay does not need it.
func TestStoreWhenThePoolIsExhausted(t *testing.T) {
	f := newFixture(t)
	for name, db := range map[string]*DB{"opened": f.DB, "wrapped": Wrap(f.Pool)} {
		t.Run(name, func(t *testing.T) {
			opened, err := db.OpenOutbox(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			f.Pool.SetMaxOpenConns(1)
			tx := f.BeginTx(t)
			defer func() { _ = tx.Rollback() }()
			s := opened.(*store)
			s.pool.Reset() // new connections are made without it, too
			if l, held, err := s.AcquireLease(testContext(t), name, "a", cluster, ttl); err != nil || !held {
				t.Errorf("%+v, %v", l, err)
			}
			if _, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 1}); err != nil {
				t.Error(err)
			}
		})
	}
}

// Credentials that the application changes, as those that expire, are taken
// over once the server refuses the old ones.
func TestStoreTakesOverNewCredentials(t *testing.T) {
	f := newFixture(t)
	role := "events_test_" + random()
	var schema string
	if err := f.Admin.QueryRowContext(testContext(t), "SELECT current_schema()").Scan(&schema); err != nil {
		t.Fatal(err)
	}
	mustExec(t, f.Admin, "CREATE ROLE "+role+" LOGIN PASSWORD 'first'")
	t.Cleanup(func() {
		mustExec(t, f.Admin, "DROP OWNED BY "+role)
		mustExec(t, f.Admin, "DROP ROLE "+role)
	})
	mustExec(t, f.Admin, "GRANT USAGE ON SCHEMA "+schema+" TO "+role)
	mustExec(t, f.Admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+schema+" TO "+role) // as the documentation says

	config, err := parse(f.DSN)
	if err != nil {
		t.Fatal(err)
	}
	config.User = role
	password := "first"
	pool := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error { c.Password = password; return nil }))
	defer pool.Close()
	db := Wrap(pool)
	db.AugmentWithProducer(&producer{})
	opened, err := db.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*store)
	defer s.Close()
	renew := func() error {
		s.pool.Reset()
		_, err := s.LookLease(testContext(t), scope)
		return err
	}
	if err := renew(); err != nil {
		t.Fatal(err)
	}
	mustExec(t, f.Admin, "ALTER ROLE "+role+" PASSWORD 'second'")
	password = "second"
	pool.SetMaxIdleConns(0) // the application has noticed
	if err := renew(); err == nil || f.Fault(err) != eventmodels.FaultAway {
		t.Errorf("with the old password: %v", err)
	}
	if err := renew(); err != nil {
		t.Errorf("after the refusal: %v", err)
	}

	// A user with no other rights than these can do everything.
	err = db.TransactOnce(testContext(t), []eventmodels.Mark{{1}}, func(tx *Tx, _ []bool) error { tx.Produce(event("a", "k", nil)); return nil })
	if err != nil {
		t.Error(err)
	}
	l := mustAcquire(t, s, "a")
	rows := outbox(t, s)
	_, marksErr := s.DeleteMarks(testContext(t), 0, 10)
	_, statsErr := s.Stats(testContext(t), scope, 0)
	_, producerErr := s.SetProducer(testContext(t), l, 1, 1)
	err = errors.Join(s.ParkOutbox(testContext(t), scope, rows[0].OutboxKey(), "x"), s.DeleteOutbox(testContext(t), scope, []eventmodels.OutboxKey{rows[0].OutboxKey()}),
		s.Wake(testContext(t), scope), marksErr, statsErr, producerErr)
	if err != nil {
		t.Error(err)
	}
}

// Whatever the size of the tables is or was, the plans go by the index and
// stop early.
func TestPlans(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	mustExec(t, f.Admin, "ANALYZE events_outbox") // as empty
	plan := func(name, query string, args ...any) (text string) {
		t.Helper()
		err := s.do(testContext(t), func(ctx context.Context, conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "+query, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
			if err != nil {
				return err
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			text = strings.Join(lines, "\n")
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, slow := range []string{"Seq Scan", "Bitmap", "Hash", "Merge Join", "Parallel", "JIT"} {
			if strings.Contains(text, slow) {
				t.Errorf("%s: %s in the plan\n%s", name, slow, text)
			}
		}
		return text
	}
	read := func(name string, gaps int) {
		lo, hi := make([]int64, gaps), make([]int64, gaps)
		for i := range lo {
			lo[i], hi[i] = int64(10_000_000*i), int64(10_000_000*i+1_000_000)
		}
		text := plan(name, readOutbox, scope, lo, hi, int64(0), int64(5), []string{}, []uint64{})
		if strings.Contains(text, "rows=20000") {
			t.Errorf("%s: reads everything\n%s", name, text)
		}
	}
	for _, filled := range []bool{false, true} {
		if filled {
			mustExec(t, f.Admin, "INSERT INTO events_outbox (scope, id, topic, created_at) SELECT $1, gen_random_uuid(), 'a', now() FROM generate_series(1, 20000)", scope)
		}
		read(fmt.Sprint("read, filled ", filled), 0)
		read(fmt.Sprint("read with gaps, filled ", filled), 100)
		text := plan(fmt.Sprint("delete, filled ", filled), deleteOutbox, scope, []int64{1, 2, 3}, []string{newRow("a").ID.String(), newRow("a").ID.String(), newRow("a").ID.String()})
		if !strings.Contains(text, "(seq = k.seq)") || !strings.Contains(text, "Tid Scan") {
			t.Errorf("delete, filled %t: not by the keys\n%s", filled, text)
		}
		plan(fmt.Sprint("marks, filled ", filled), deleteMarks, int64(1), 10)
	}
}
