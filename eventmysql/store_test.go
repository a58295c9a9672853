package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// A call whose connection was killed fails, and the next one connects again.
func TestStoreReconnects(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	f.insertRows(t, newRow("a"))
	l := mustAcquire(t, s, "a")
	row := f.outbox(t, s)[0]
	for name, call := range map[string]func() error{
		"AcquireLease": func() error { _, _, err := s.AcquireLease(testContext(t), "other", "a", cluster, ttl); return err },
		"RenewLease":   func() error { return s.RenewLease(testContext(t), l, ttl) },
		"LookLease":    func() error { _, err := s.LookLease(testContext(t), scope); return err },
		"ReadOutbox": func() error {
			_, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 1})
			return err
		},
		"DeleteOutbox": func() error {
			return s.DeleteOutbox(testContext(t), "other", []eventmodels.OutboxKey{row.OutboxKey()})
		},
		"ParkOutbox":  func() error { return s.ParkOutbox(testContext(t), "other", row.OutboxKey(), "") },
		"Stats":       func() error { _, err := s.Stats(testContext(t), scope, 0); return err },
		"DeleteMarks": func() error { _, err := s.DeleteMarks(testContext(t), time.Hour, 10); return err },
		"ListParked": func() error {
			_, err := s.ListParked(testContext(t), scope, eventmodels.ParkedKey{}, 1)
			return err
		},
		"RequeueParked": func() error { _, err := s.RequeueParked(testContext(t), scope, []uuid.UUID{row.ID}); return err },
		"DiscardParked": func() error { _, err := s.DiscardParked(testContext(t), scope, []uuid.UUID{row.ID}); return err },
		"Concerns":      func() error { _, err := s.Concerns(testContext(t)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			f.killAll(t)
			failures := 0
			for err := call(); err != nil; err = call() {
				if f.Fault(err) != eventmodels.FaultAway {
					t.Fatalf("fault %v of %v", f.Fault(err), err)
				}
				if failures++; failures >= mysqldb.StoreConnections {
					t.Fatalf("it does not connect again: %v", err)
				}
			}
		})
	}
}

// killAll ends all connections to the test's database but the one that asks.
func (f *fixture) killAll(t *testing.T) {
	t.Helper()
	conn, err := f.admin.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.QueryContext(testContext(t), "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
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
		if _, err := conn.ExecContext(testContext(t), fmt.Sprint("KILL ", id)); err != nil && mysqldb.Number(err) != 1094 { // unknown: gone meanwhile
			t.Fatal(err)
		}
	}
	for n := 1; n > 0; {
		err := conn.QueryRowContext(testContext(t), "SELECT COUNT(*), SLEEP(0.002) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()").Scan(&n, new(int))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The store's sessions are its own, whatever the defaults are, and those of an
// application's pool do not go back with the store's settings.
func TestStoreSessions(t *testing.T) {
	f := newFixture(t)
	strange := rawPool(t, changed(t, f.dsn, func(c *mysql.Config) {
		c.Params = map[string]string{"time_zone": "'+09:00'", "autocommit": "0", "sql_mode": "'ANSI'", "innodb_lock_wait_timeout": "50",
			"tx_isolation": "'SERIALIZABLE'"}
		if _, err := f.admin.Exec("SELECT @@tx_isolation"); err != nil { // MySQL 8
			delete(c.Params, "tx_isolation")
			c.Params["transaction_isolation"] = "'SERIALIZABLE'"
		}
	}))
	s := openOf(t, Wrap(strange)).(*store)
	l := mustAcquire(t, s, "a")
	if state, err := f.store(t).LookLease(testContext(t), scope); err != nil || !state.Live {
		t.Errorf("the lease, seen from another time zone: %+v, %v", state, err)
	}
	if err := s.RenewLease(testContext(t), l, ttl); err != nil {
		t.Error(err)
	}
	for _, do := range []func(context.Context, func(context.Context, *sql.Conn) error) error{s.connections.Work, s.connections.Lease} {
		err := do(testContext(t), func(ctx context.Context, conn *sql.Conn) error {
			var autocommit, wait, mode string
			err := conn.QueryRowContext(ctx, "SELECT @@autocommit, @@innodb_lock_wait_timeout, @@sql_mode").Scan(&autocommit, &wait, &mode)
			if autocommit != "1" || wait != "15" || mode != "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION" {
				t.Errorf("autocommit %s, lock wait %s, sql_mode %s", autocommit, wait, mode)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if n := strange.Stats().InUse; n != 2 {
		t.Errorf("the store keeps %d connections", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := strange.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections of the store were given back to the pool", n)
	}
}

// A relay over an application's pool has its connections already when handlers
// take all the others.
func TestStoreWhenThePoolIsExhausted(t *testing.T) {
	f := newFixture(t)
	pool := rawPool(t, f.dsn)
	pool.SetMaxOpenConns(4)
	db := Wrap(pool)
	s := openOf(t, db)
	l := mustAcquire(t, s.(*store), "a")
	for range 3 {
		tx, err := pool.BeginTx(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
	}
	if err := s.RenewLease(testContext(t), l, ttl); err != nil {
		t.Error(err)
	}
	if n := db.MaxConnections(); n != 1 {
		t.Errorf("%d connections for handlers", n)
	}
}

func TestStoreClose(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	entered := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.connections.Work(context.Background(), func(ctx context.Context, conn *sql.Conn) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-entered
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, mysqldb.ErrClosed) {
		t.Errorf("what was under way: %v", err)
	}
	if _, err := s.LookLease(testContext(t), scope); !errors.Is(err, mysqldb.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestStoreCallsEndWithTheirContext(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	holder := f.beginAdmin(t)
	mustAcquire(t, s, "a")
	mustExec(t, holder, "SELECT * FROM events_lease FOR UPDATE")
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { _, _, err := s.AcquireLease(ctx, scope, "b", cluster, ttl); result <- err }()
	f.awaitBlocked(t, "UPDATE events_lease", 1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if state, err := s.LookLease(testContext(t), scope); err != nil || state.Owner != "a" {
		t.Errorf("afterwards: %+v, %v", state, err)
	}
}

func TestListenIsUnsupported(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	if err := s.Listen(testContext(t), scope, nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Listen: %v", err)
	}
	if err := s.Wake(testContext(t), scope); err != nil {
		t.Errorf("Wake: %v", err)
	}
}
