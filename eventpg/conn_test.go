package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// wire counts what a connection sends, and cuts it.
type wire struct {
	net.Conn
	sent    atomic.Int32 // writes, which are round trips here
	cut     atomic.Int32 // the write, counted by sent, with which it is cut; 0: none
	after   atomic.Int32 // how many bytes of it reach the server; -1: all, and the answer comes as far as here
	dropped atomic.Bool  // the connection was cut
}

func (w *wire) Write(b []byte) (int, error) {
	if w.sent.Add(1) != w.cut.Load() {
		return w.Conn.Write(b)
	}
	w.dropped.Store(true)
	if n := int(w.after.Load()); n >= 0 {
		n, _ = w.Conn.Write(b[:min(n, len(b))])
		_ = w.Conn.Close()
		return n, net.ErrClosed
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.dropped.Load() {
		_ = w.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// wired returns a database with one connection, on a wire.
func (f *fixture) wired(t *testing.T) *DB {
	t.Helper()
	config, err := parse(f.DSN)
	if err != nil {
		t.Fatal(err)
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &wire{Conn: conn}, err
	}
	pool := sql.OpenDB(Connector(stdlib.GetConnector(*config)))
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = pool.Close() })
	db := Wrap(pool)
	db.AugmentWithProducer(f.Producer)
	return db
}

// wireOf returns the wire of the pool's connection.
func wireOf(t *testing.T, pool *sql.DB) *wire {
	t.Helper()
	conn, err := pool.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	native, err := nativeConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	return native.PgConn().Conn().(*wire)
}

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

// Whatever byte of BEGIN and the mark, or of the events and COMMIT, is the last
// one that the server gets, and whether or not the answer comes back: the event
// is delivered again, and has had one effect.
func TestConnectionCutInARoundTrip(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
	db := f.wired(t)
	const begin, commit = 1, 3
	id := 0
	warm := func() *wire {
		for range 2 {
			id++
			if err := once(t, db, id); err != nil {
				t.Fatal(err)
			}
		}
		return wireOf(t, db.Unwrap().DB)
	}
	refused, done := 0, 0
	for _, trip := range []int32{begin, commit} {
		for after := int32(-1); after < 900; after += 23 { // -1: the answer is lost; beyond the last byte: all of them arrive
			w := warm()
			w.after.Store(after)
			w.cut.Store(w.sent.Load() + trip)
			id++
			err := once(t, db, id)
			if err == nil || !w.dropped.Load() {
				t.Fatalf("cut after %d bytes of round trip %d: %v", after, trip, err)
			}
			if trip == begin && errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("cut in BEGIN, after %d bytes: %v", after, err)
			}
			if trip == commit && !errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("cut in COMMIT, after %d bytes: known: %v", after, err)
			}
			if f.Fault(err) != eventmodels.FaultAway {
				t.Errorf("cut after %d bytes of round trip %d: fault %v of %v", after, trip, f.Fault(err), err)
			}
			// The mark waits for the other transaction if the server still works on it.
			again := false
			err = db.TransactOnce(testContext(t), []eventmodels.Mark{markOf(fmt.Sprint(id))}, func(tx *Tx, fresh []bool) error {
				again = true
				return effect(t, id)(tx, fresh)
			})
			if err != nil {
				t.Fatalf("delivered again: %v", err)
			}
			if again {
				refused++
			} else {
				done++
			}
		}
	}
	if refused == 0 || done == 0 {
		t.Errorf("%d were rolled back, and %d committed: not both were tried", refused, done)
	}
	for _, table := range []string{"effects", "events_marks", "events_outbox"} {
		if n := f.Count(t, table); n != id {
			t.Errorf("%d rows in %s of %d events", n, table, id)
		}
	}
	if n := f.Count(t, "(SELECT DISTINCT id FROM effects) AS e"); n != id {
		t.Errorf("effects of %d events, want %d", n, id)
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

// The ways in which pgx can send statements, poolers in between among the
// reasons for them, and the ways to open a database.
func TestExecModes(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		f := newFixture(t)
		mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
		dsn := withParams(f.DSN, "default_query_exec_mode="+mode)
		opened, err := Open(testContext(t), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		native, err := pgxpool.New(testContext(t), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer native.Close()
		ofPool := WrapPool(native)
		defer ofPool.Close()
		done := 0
		for name, db := range map[string]*DB{"Open": opened, "Wrap": Wrap(rawPool(t, dsn)), "WrapPool": ofPool} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				db.AugmentWithProducer(&producer{})
				for range 3 {
					for _, size := range []int{1, 2, 3} {
						done++
						marks := make([]eventmodels.Mark, 0, size)
						for i := range size {
							marks = append(marks, markOf(fmt.Sprint(done, i)))
						}
						for delivery := range 2 {
							called := false
							err := db.TransactOnce(testContext(t), marks, func(tx *Tx, fresh []bool) error {
								called = true
								if n := len(fresh); n != size || !fresh[0] || !fresh[n-1] {
									t.Errorf("fresh: %v", fresh)
								}
								for range size - 1 { // none, one, several
									tx.Produce(event("a", "k", []byte("payload")))
								}
								_, err := tx.ExecContext(testContext(t), "INSERT INTO effects VALUES ($1)", done)
								return err
							})
							if err != nil || called != (delivery == 0) {
								t.Fatalf("delivery %d of %d events: %v, called: %v", delivery, size, err, called)
							}
						}
					}
				}
			})
		}
		if effects, marks, rows := f.Count(t, "effects"), f.Count(t, "events_marks"), f.Count(t, "events_outbox"); effects != done || marks != 2*done || rows != done {
			t.Errorf("%s: %d effects, %d marks, %d events of %d transactions", mode, effects, marks, rows, done)
		}
	}
}

// Statements that the server has forgotten cost one delivery, which is tried
// again.
func TestForgottenStatements(t *testing.T) {
	f := newFixture(t)
	f.Pool.SetMaxOpenConns(1)
	mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
	for id := range 3 {
		if err := once(t, f.DB, 2*id); err != nil {
			t.Fatal(err)
		}
		mustExec(t, f.Unwrap(), "DEALLOCATE ALL")
		for attempt := 0; ; attempt++ {
			err := once(t, f.DB, 2*id+1)
			if err == nil {
				break
			}
			if errors.Is(err, eventmodels.ErrCommitUnknown) || attempt > 3 {
				t.Fatalf("attempt %d: %v", attempt, err)
			}
		}
	}
	if n := f.Count(t, "effects"); n != 6 {
		t.Errorf("%d effects", n)
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

// What pgx refuses to send was not sent, and COMMIT neither.
func TestEventsThatCannotBeSent(t *testing.T) {
	f := newFixture(t)
	pool := rawPool(t, withParams(f.DSN, "default_query_exec_mode=simple_protocol"))
	native, err := parse(withParams(f.DSN, "default_query_exec_mode=simple_protocol"))
	if err != nil {
		t.Fatal(err)
	}
	with := sql.OpenDB(Connector(stdlib.GetConnector(*native)))
	defer with.Close()
	for name, db := range map[string]*DB{"with a Connector": Wrap(with), "without": Wrap(pool)} {
		db.AugmentWithProducer(f.Producer)
		err := db.Transact(testContext(t), func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_, err := tx.ExecContext(testContext(t), "SET LOCAL standard_conforming_strings = off")
			return err
		})
		if err == nil || errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultEvent {
			t.Errorf("%s: %v, fault %v", name, err, f.Fault(err))
		}
		if err := db.Transact(testContext(t), func(*Tx) error { return nil }); err != nil {
			t.Errorf("%s, afterwards: %v", name, err)
		}
	}
	if n := f.Count(t, "events_outbox"); n != 0 {
		t.Errorf("%d events", n)
	}
}

// Who looks at the driver's connection finds pgx's in it.
func TestConnectorShowsItsConnection(t *testing.T) {
	f := newFixture(t)
	conn, err := f.Pool.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(driverConn any) error {
		native, ok := driverConn.(interface{ Conn() *pgx.Conn })
		if !ok {
			return fmt.Errorf("%T has no method Conn", driverConn)
		}
		return native.Conn().Ping(testContext(t))
	})
	if err != nil {
		t.Error(err)
	}
}

// Without events COMMIT is a round trip of its own. When its answer is lost,
// pgx says what it says when nothing was sent.
func TestConnectionCutInCommit(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
	db := f.wired(t)
	for id, c := range []struct {
		after   int32
		unknown bool
	}{{-1, true}, {3, true}} {
		if err := db.Transact(testContext(t), func(*Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		err := db.Transact(testContext(t), func(tx *Tx) error {
			_, err := tx.ExecContext(testContext(t), "INSERT INTO effects VALUES ($1)", id)
			w := tx.Native().PgConn().Conn().(*wire)
			w.after.Store(c.after)
			w.cut.Store(w.sent.Load() + 1)
			return err
		})
		if errors.Is(err, eventmodels.ErrCommitUnknown) != c.unknown || f.Fault(err) != eventmodels.FaultAway {
			t.Errorf("cut after %d bytes: %v, fault %v", c.after, err, f.Fault(err))
		}
	}
	eventually(t, f.Admin, "SELECT count(*) = 1 FROM effects")
}
