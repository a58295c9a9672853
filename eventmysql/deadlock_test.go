package eventmysql

import (
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// A statement that fails for itself, and is not returned, undoes itself only.
func TestSwallowedConstraint(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		mustExec(t, tx, "INSERT INTO orders VALUES (1)")
		if _, err := tx.Exec("INSERT INTO orders VALUES (2), (1)"); mysqldb.Number(err) != 1062 {
			t.Errorf("error: %v", err)
		}
		tx.Produce(event("a", "k", nil))
		return nil
	})
	if n := f.Count(t, "orders") + f.Count(t, "events_outbox"); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// Two transactions that lock each other's row: one of them is rolled back,
// wholly, although its function looks away.
func TestDeadlock(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE rooms (id integer PRIMARY KEY, n integer)")
	mustExec(t, f.Admin, "INSERT INTO rooms VALUES (1, 0), (2, 0)")
	mustExec(t, f.Admin, "CREATE TABLE orders (id integer)")
	var locked, working sync.WaitGroup
	locked.Add(2)
	failed := make(chan error, 2)
	for id := range 2 {
		working.Go(func() {
			err := f.Transact(testContext(t), func(tx *Tx) error {
				mustExec(t, tx, "UPDATE rooms SET n = n + 1 WHERE id = ?", id+1)
				locked.Done()
				locked.Wait()
				_, _ = tx.Exec("UPDATE rooms SET n = n + 1 WHERE id = ?", 2-id)
				_, _ = tx.Exec("INSERT INTO orders VALUES (?)", id)
				tx.Produce(event("a", "k", nil))
				return nil
			})
			if err != nil {
				failed <- err
			}
		})
	}
	working.Wait()
	if len(failed) != 1 {
		t.Fatalf("%d transactions have failed", len(failed))
	}
	if err := <-failed; f.Fault(err) != eventmodels.FaultConflict || errors.Is(err, eventmodels.ErrCommitUnknown) {
		t.Errorf("fault: %v of %v", f.Fault(err), err)
	}
	if n := f.Count(t, "rooms WHERE n = 1"); n != 2 {
		t.Errorf("%d rooms", n)
	}
	if a, b := f.Count(t, "orders"), f.Count(t, "events_outbox"); a != 1 || b != 1 {
		t.Errorf("%d orders, %d events", a, b)
	}
}

// A deadlock whose error comes between the rows of a query, where [Tx] cannot
// see it, is ignored by the handler. The server has rolled back, and what comes
// then must not take effect by itself.
func TestDeadlockWhileRowsAreRead(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE rooms (id integer PRIMARY KEY, n integer)")
	mustExec(t, f.Admin, "INSERT INTO rooms VALUES (1, 0), (2, 0), (3, 0)")
	mustExec(t, f.Admin, "CREATE TABLE orders (id integer)")
	mustExec(t, f.Admin, "CREATE TABLE weights (id integer)") // the server's victim is who has changed less
	for name, c := range map[string]struct {
		query string
		level sql.IsolationLevel
	}{
		"FOR UPDATE":         {"SELECT id FROM rooms WHERE id > 0 ORDER BY id FOR\n UPDATE", sql.LevelReadCommitted},
		"LOCK IN SHARE MODE": {"select id from rooms where id > 0 order by id lock in share mode", sql.LevelDefault},
	} {
		t.Run(name, func(t *testing.T) {
			var working sync.WaitGroup
			other, err := f.Admin.BeginTx(testContext(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Rollback()
			mustExec(t, other, "INSERT INTO weights VALUES (1)"+strings.Repeat(", (1)", 50))
			mustExec(t, other, "UPDATE rooms SET n = n + 1 WHERE id = 3")
			err = f.Transact(testContext(t), func(tx *Tx) error {
				mustExec(t, tx, "INSERT INTO orders VALUES (1)")
				mustExec(t, tx, "UPDATE rooms SET n = n + 1 WHERE id = 1")
				working.Go(func() { mustExec(t, other, "UPDATE rooms SET n = n + 1 WHERE id = 1") })
				rows, err := tx.Query(c.query)
				if err != nil {
					t.Errorf("the query says it at once: %v", err)
					return nil
				}
				for rows.Next() {
				}
				if n := mysqldb.Number(rows.Err()); n != 1213 {
					t.Errorf("error: %v", rows.Err())
				}
				_ = rows.Close()
				_, _ = tx.Exec("INSERT INTO orders VALUES (2)")
				tx.Produce(event("a", "k", nil))
				return nil
			})
			working.Wait()
			if err == nil {
				t.Error("no error")
			}
			if a, b := f.Count(t, "orders"), f.Count(t, "events_outbox"); a != 0 || b != 0 {
				t.Errorf("%d orders, %d events", a, b)
			}
			var autocommit bool
			if err := f.Pool.QueryRow("SELECT @@autocommit").Scan(&autocommit); err != nil || !autocommit {
				t.Errorf("autocommit of the connection that was given back: %v, %v", autocommit, err)
			}
		})
	}
}

// Queries without locks, and the library's own, cost no round trips for what a
// deadlock between rows would do.
func TestGuardedQueries(t *testing.T) {
	f := newFixture(t, WithKeyLocks(), WithMaxConnections(1))
	for _, c := range []struct {
		query   string
		guarded bool
	}{{"SELECT topic FROM events_outbox", false}, {"SELECT topic FROM events_outbox FOR UPDATE", true}} {
		err := f.Transact(testContext(t), func(tx *Tx) error {
			var topic string
			if err := tx.QueryRow(c.query).Scan(&topic); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			tx.Produce(event("a", "k", nil))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var before sql.NullString
		if err := f.Pool.QueryRow("SELECT @events_autocommit").Scan(&before); err != nil || before.Valid != c.guarded {
			t.Errorf("%s: guarded: %v, %v", c.query, before.Valid, err)
		}
	}
}
