package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// effect is what the transactions of these tests do: a row, and an event.
func effect(t *testing.T, id int) func(*Tx, []bool) error {
	return func(tx *Tx, _ []bool) error {
		tx.Produce(event("a", "k", nil))
		_, err := tx.ExecContext(testContext(t), "INSERT INTO effects VALUES ($1)", id)
		return err
	}
}

func once(t *testing.T, db *DB, id int) error {
	t.Helper()
	return db.TransactOnce(testContext(t), []eventmodels.Mark{markOf(fmt.Sprint(id))}, effect(t, id))
}

// What the library adds to a handler's statements costs two round trips: one
// with BEGIN, one with COMMIT.
func TestRoundTrips(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
	db := f.wired(t)
	if err := db.TransactOnce(testContext(t), []eventmodels.Mark{markOf("done")}, func(*Tx, []bool) error { return nil }); err != nil {
		t.Fatal(err)
	}
	id := 0
	for name, c := range map[string]struct {
		want int32
		do   func() error
	}{
		"exactly once": {3, func() error { return once(t, db, id) }},
		"exactly once, in a batch": {3, func() error {
			return db.TransactOnce(testContext(t), []eventmodels.Mark{markOf(fmt.Sprint(id)), markOf(fmt.Sprint("also ", id))}, effect(t, id))
		}},
		"exactly once, of an event that is done: BEGIN and ROLLBACK": {2, func() error {
			return db.TransactOnce(testContext(t), []eventmodels.Mark{markOf("done")}, func(*Tx, []bool) error { return errTest })
		}},
		"Transact: BEGIN by itself": {3, func() error {
			return db.Transact(testContext(t), func(tx *Tx) error { return effect(t, id)(tx, nil) })
		}},
	} {
		before := int32(0)
		for range 3 { // the first ones connect, and prepare statements
			before = wireOf(t, db.Unwrap().DB).sent.Load()
			id++
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := wireOf(t, db.Unwrap().DB).sent.Load() - before; n != c.want {
			t.Errorf("%s: %d round trips, want %d", name, n, c.want)
		}
	}
}

// What is refused at the end of a transaction is refused as a whole, is said by
// whom it was refused, and leaves the connection in order.
func TestRefusedRoundTrips(t *testing.T) {
	const commit, insert = "commit: ", "insert 1 events into the outbox: "
	for name, c := range map[string]struct {
		before, after string // what refuses, and what ends that
		code, text    string
	}{
		"the INSERT of the event": {
			"ALTER TABLE events_outbox ADD CONSTRAINT never CHECK (topic = '')", "ALTER TABLE events_outbox DROP CONSTRAINT never", "23514", insert,
		},
		"the INSERT of the event, which cannot be prepared": {
			"ALTER TABLE events_outbox RENAME TO events_away", "ALTER TABLE events_away RENAME TO events_outbox", "42P01", insert,
		},
		"COMMIT": {
			"ALTER TABLE effects ADD CONSTRAINT never FOREIGN KEY (parent) REFERENCES effects DEFERRABLE INITIALLY DEFERRED",
			"ALTER TABLE effects DROP CONSTRAINT never", "23503", commit,
		},
		"the INSERT of the mark": {
			"ALTER TABLE events_marks ADD CONSTRAINT never CHECK (k = '')", "ALTER TABLE events_marks DROP CONSTRAINT never", "23514", "insert 1 marks: ",
		},
		"the INSERT of the mark, which cannot be prepared": {
			"ALTER TABLE events_marks RENAME TO events_away", "ALTER TABLE events_away RENAME TO events_marks", "42P01", "insert 1 marks: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.Pool.SetMaxOpenConns(1)
			mustExec(t, f.Admin, "CREATE TABLE effects (id integer PRIMARY KEY, parent integer DEFAULT 99)")
			mustExec(t, f.Admin, c.before)
			pid := pidOf(t, f.Unwrap())
			for range 2 { // with statements that are prepared, and without
				err := once(t, f.DB, 1)
				var answer *pgconn.PgError
				if !errors.As(err, &answer) || answer.Code != c.code || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error: %v", err)
				}
				if errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultEvent {
					t.Errorf("error: %v, fault: %v", err, f.Fault(err))
				}
				if (c.code == "42P01") != errors.Is(err, ErrSchema) {
					t.Errorf("ErrSchema: %v", err)
				}
			}
			if len(f.Producer.Produced) != 0 {
				t.Error("the relay was called")
			}
			mustExec(t, f.Admin, c.after)
			for _, table := range []string{"effects", "events_marks", "events_outbox"} {
				if n := f.Count(t, table); n != 0 {
					t.Errorf("%d rows in %s", n, table)
				}
			}
			if err := once(t, f.DB, 1); err != nil {
				t.Errorf("delivered again: %v", err)
			}
			if n := f.Count(t, "effects") + f.Count(t, "events_marks") + f.Count(t, "events_outbox"); n != 3 {
				t.Errorf("%d rows", n)
			}
			if now := pidOf(t, f.Unwrap()); now != pid {
				t.Error("it has cost a connection")
			}
		})
	}
}

// Two deliveries of an event at once: one runs the handler, the other one waits
// for it in its first round trip, and passes if that one has failed.
func TestConcurrentDeliveries(t *testing.T) {
	for name, result := range map[string]error{"that succeed": nil, "of which one fails": errTest} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
			marks := []eventmodels.Mark{markOf("1")}
			second := make(chan error, 1)
			called := false
			first := f.TransactOnce(testContext(t), marks, func(tx *Tx, fresh []bool) error {
				go func() {
					second <- f.TransactOnce(testContext(t), marks, func(tx *Tx, fresh []bool) error {
						called = true
						return effect(t, 2)(tx, fresh)
					})
				}()
				eventually(t, f.Admin, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
				return errors.Join(effect(t, 1)(tx, fresh), result)
			})
			if !errors.Is(first, result) {
				t.Errorf("the first: %v", first)
			}
			if err := <-second; err != nil || called != (result != nil) {
				t.Errorf("the second: %v, called: %v", err, called)
			}
			if n := f.Count(t, "effects"); n != 1 {
				t.Errorf("%d effects", n)
			}
		})
	}
}

// Types of the application's own take part, when their pool has the connector.
func TestRoundTripsOfOwnTypes(t *testing.T) {
	f := newFixture(t)
	db := f.wired(t)
	own := New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: db.Unwrap().DB})
	own.AugmentWithProducer(f.Producer)
	before := int32(0)
	for id := range 4 {
		before = wireOf(t, db.Unwrap().DB).sent.Load()
		err := own.TransactOnce(testContext(t), []eventmodels.Mark{markOf(fmt.Sprint(id))}, func(tx *eventdb.ExampleBasicTX, fresh []bool) error {
			tx.Produce(event("a", "k", nil))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := wireOf(t, db.Unwrap().DB).sent.Load() - before; n != 2 {
		t.Errorf("%d round trips", n)
	}
	if n := f.Count(t, "events_outbox"); n != 4 {
		t.Errorf("%d events", n)
	}
}

// beginsTwice is a database whose BeginTx begins another transaction first.
type beginsTwice struct {
	*sql.DB
	first func(*sql.Tx) error
}

func (db beginsTwice) BeginTx(ctx context.Context, opts *sql.TxOptions) (*eventdb.ExampleBasicTX, error) {
	first, err := db.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := db.first(first); err != nil {
		return nil, err
	}
	return eventdb.ExampleBasicDB{DB: db.DB}.BeginTx(ctx, opts)
}

// Marks and events are those of the transaction that BeginTx returns, even if
// it has begun another one before, with the same context.
func TestRoundTripsOfAnotherTransaction(t *testing.T) {
	for name, c := range map[string]struct {
		first   func(*sql.Tx) error
		refused bool // with marks
	}{
		"that was rolled back": {(*sql.Tx).Rollback, false},
		"that was committed":   {(*sql.Tx).Commit, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			pool := f.wired(t).Unwrap().DB
			pool.SetMaxOpenConns(2)
			db := New[*eventdb.ExampleBasicTX](beginsTwice{pool, c.first})
			db.AugmentWithProducer(f.Producer)
			produce := func(tx *eventdb.ExampleBasicTX) error {
				tx.Produce(event("a", "k", nil))
				return nil
			}
			if err := db.Transact(testContext(t), produce); err != nil {
				t.Error(err)
			}
			if n := f.Count(t, "events_outbox"); n != 1 {
				t.Errorf("%d events of a transaction", n)
			}
			called := 0
			marks := []eventmodels.Mark{markOf("1")}
			for range 2 {
				err := db.TransactOnce(testContext(t), marks, func(tx *eventdb.ExampleBasicTX, fresh []bool) error {
					called++
					if n := f.Count(t, "events_marks"); n != 0 {
						t.Errorf("%d marks are committed before the event is handled", n)
					}
					return produce(tx)
				})
				if (err != nil) != c.refused || errors.Is(err, eventmodels.ErrCommitUnknown) {
					t.Errorf("exactly once: %v", err)
				}
			}
			want := 1
			if c.refused {
				want = 0
			}
			if n, rows := f.Count(t, "events_marks"), f.Count(t, "events_outbox"); called != want || n != want || rows != 1+want {
				t.Errorf("handled %d times, %d marks, %d events", called, n, rows)
			}
			if n := pool.Stats().InUse; n != 0 {
				t.Errorf("%d connections are in use", n)
			}
		})
	}
}
