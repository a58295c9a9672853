package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/internal/storetest"
)

// The store's sessions are its own, whatever the defaults are, and those of an
// application's pool do not go back with the store's settings.
func TestStoreSessions(t *testing.T) {
	f := newFixture(t)
	strange := rawPool(t, changed(t, f.DSN, func(c *mysql.Config) {
		c.Params = map[string]string{"time_zone": "'+09:00'", "autocommit": "0", "sql_mode": "'ANSI'", "innodb_lock_wait_timeout": "50",
			"tx_isolation": "'SERIALIZABLE'"}
		if _, err := f.Admin.Exec("SELECT @@tx_isolation"); err != nil { // MySQL 8
			delete(c.Params, "tx_isolation")
			c.Params["transaction_isolation"] = "'SERIALIZABLE'"
		}
	}))
	s := storetest.OpenStore(t, Wrap(strange)).(*store)
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
	pool := rawPool(t, f.DSN)
	pool.SetMaxOpenConns(4)
	db := Wrap(pool)
	s := storetest.OpenStore(t, db)
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
