package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

var errTest = errors.New("an error of the test")

func TestTransactCommitsDataAndEvents(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	mustExec(t, f.admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		mustExec(t, tx, "INSERT INTO orders VALUES (1)")
		tx.Produce(event{"a", "k", []byte("1")}, event{"b", "", nil})
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM orders").Scan(&n); err != nil || n != 1 {
			t.Errorf("%d orders, %v", n, err)
		}
		_, err := tx.Exec("INSERT INTO orders VALUES (2), (?)", 3)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, "orders"); n != 3 {
		t.Errorf("%d orders", n)
	}
	rows := f.outbox(t, s)
	if got := topicsOf(rows); !slices.Equal(got, []string{scope + "a", scope + "b"}) {
		t.Fatalf("outbox: %v", got)
	}
	for i, topic := range []string{"a", "b"} {
		if ids := f.producer.produced[topic]; len(ids) != 1 || ids[0].UUID != rows[i].ID {
			t.Errorf("told the producer of %v for %s, and %s is stored", ids, topic, rows[i].ID)
		}
	}
}

func TestTransactOfManyEvents(t *testing.T) {
	for name, opts := range map[string][]Option{"plain": nil, "with key locks": {WithKeyLocks()}} {
		t.Run(name, func(t *testing.T) {
			const n = 20_000
			f := newFixture(t, opts...)
			s := f.store(t)
			err := f.Transact(testContext(t), func(tx *Tx) error {
				for i := range n {
					tx.Produce(event{"a", fmt.Sprint(i), []byte(fmt.Sprint(i))})
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			rows := f.outbox(t, s)
			if len(rows) != n {
				t.Fatalf("%d rows", len(rows))
			}
			for i := range rows {
				if want := fmt.Sprint(i); string(rows[i].Payload) != want {
					t.Fatalf("row %d has the payload %s", i, rows[i].Payload)
				}
			}
		})
	}
}

// A transaction that does not commit sends nothing and leaves nothing behind.
func TestTransactThatFails(t *testing.T) {
	answered := func(number uint16) func(error) bool {
		return func(err error) bool { return mysqldb.Number(err) == number }
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	produce := func(tx *Tx) { tx.Produce(event{"a", "k", nil}) }
	insert := func(tx *Tx, id int) error {
		_, err := tx.ExecContext(context.Background(), "INSERT INTO orders (id) VALUES (?)", id)
		return err
	}
	// busy waits for a lock that the test has, for no longer than a second.
	busy := func(tx *Tx) error {
		_, err := tx.Exec("UPDATE busy SET n = n + 1")
		return err
	}
	for name, c := range map[string]struct {
		fn    func(*Tx) error
		want  func(error) bool
		fault eventmodels.Fault
	}{
		"an error of fn": {func(tx *Tx) error { produce(tx); return errors.Join(insert(tx, 1), errTest) }, is(errTest), eventmodels.FaultEvent},
		"an event that is wrong": {func(tx *Tx) error {
			produce(tx)
			tx.Produce(event{"unknown", "k", nil})
			return insert(tx, 1)
		}, is(errUnknownTopic), eventmodels.FaultEvent},
		"a lock timeout": {func(tx *Tx) error { produce(tx); return errors.Join(insert(tx, 1), busy(tx)) }, answered(1205), eventmodels.FaultConflict},
		"a swallowed lock timeout": {func(tx *Tx) error {
			produce(tx)
			_ = insert(tx, 1)
			_ = busy(tx)
			if insert(tx, 2) == nil || tx.QueryRow("SELECT 1").Scan(new(int)) == nil {
				t.Error("the transaction goes on")
			}
			return nil
		}, answered(1205), eventmodels.FaultConflict},
		"a swallowed lock timeout at the end, without events": {func(tx *Tx) error {
			_ = insert(tx, 1)
			_ = busy(tx)
			return nil
		}, answered(1205), eventmodels.FaultConflict},
		"a swallowed deadlock": {func(tx *Tx) error {
			produce(tx)
			_ = insert(tx, 1)
			_, _ = tx.Exec("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
			_ = insert(tx, 2)
			return nil
		}, answered(1213), eventmodels.FaultConflict},
		"raw ROLLBACK": {func(tx *Tx) error {
			produce(tx)
			_, err := tx.Exec("ROLLBACK")
			return err
		}, is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"raw ROLLBACK of the *sql.Tx, without events": {func(tx *Tx) error {
			_, err := tx.Tx.Exec("ROLLBACK")
			return err
		}, is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"raw ROLLBACK, and another transaction": {func(tx *Tx) error {
			produce(tx)
			_, _ = tx.Exec("ROLLBACK")
			_, err := tx.Exec("START TRANSACTION")
			return err
		}, is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"Rollback": {func(tx *Tx) error { produce(tx); return errors.Join(insert(tx, 1), tx.Rollback()) },
			is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"Rollback of the *sql.Tx": {func(tx *Tx) error { produce(tx); return errors.Join(insert(tx, 1), tx.Tx.Rollback()) },
			is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"rows left open": {func(tx *Tx) error {
			produce(tx)
			_ = insert(tx, 1)
			_, err := tx.Query("SELECT a.id FROM numbers AS a JOIN numbers AS b JOIN numbers AS c") //nolint
			return err
		}, func(err error) bool { return err != nil }, eventmodels.FaultAway},
		"the connection is killed": {func(tx *Tx) error {
			produce(tx)
			_ = insert(tx, 1)
			_, err := tx.Exec("KILL CONNECTION_ID()")
			return err
		}, func(err error) bool { return err != nil }, eventmodels.FaultAway},
		"the connection was killed, and nobody has noticed": {func(tx *Tx) error {
			produce(tx)
			_ = insert(tx, 1)
			_, _ = tx.Tx.Exec("KILL CONNECTION_ID()")
			return nil
		}, func(err error) bool { return err != nil }, eventmodels.FaultAway},
		"the same, without events": {func(tx *Tx) error {
			_ = insert(tx, 1)
			_, _ = tx.Tx.Exec("KILL CONNECTION_ID()")
			return nil
		}, func(err error) bool { return err != nil && !errors.Is(err, eventmodels.ErrCommitUnknown) }, eventmodels.FaultAway},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, WithMarkWait(time.Second))
			mustExec(t, f.admin, `CREATE TABLE orders (id integer PRIMARY KEY)`)
			mustExec(t, f.admin, `CREATE TABLE numbers SELECT bucket AS id FROM events_key_locks`)
			mustExec(t, f.admin, `CREATE TABLE busy SELECT 1 AS n`)
			mustExec(t, f.beginAdmin(t), `UPDATE busy SET n = n + 1`)
			f.pool.SetMaxOpenConns(1)
			err := f.Transact(testContext(t), c.fn)
			if !c.want(err) {
				t.Errorf("error: %v", err)
			}
			if errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("the outcome is called unknown: %v", err)
			}
			if fault := f.Fault(err); fault != c.fault {
				t.Errorf("fault: %v of %v", fault, err)
			}
			if n := f.count(t, "events_outbox"); n != 0 {
				t.Errorf("%d rows in the outbox", n)
			}
			if n := f.count(t, "orders"); n != 0 {
				t.Errorf("%d orders", n)
			}
			if len(f.producer.produced) != 0 {
				t.Error("the relay was called")
			}
			// The only connection of the pool is free, and whole.
			if err := f.Transact(testContext(t), func(tx *Tx) error { return insert(tx, 5) }); err != nil {
				t.Errorf("the next transaction: %v", err)
			}
		})
	}
}

// A statement that fails for itself, and is not returned, undoes itself only.
func TestSwallowedConstraint(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		mustExec(t, tx, "INSERT INTO orders VALUES (1)")
		if _, err := tx.Exec("INSERT INTO orders VALUES (2), (1)"); mysqldb.Number(err) != 1062 {
			t.Errorf("error: %v", err)
		}
		tx.Produce(event{"a", "k", nil})
		return nil
	})
	if n := f.count(t, "orders") + f.count(t, "events_outbox"); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// Two transactions that lock each other's row: one of them is rolled back,
// wholly, although its function looks away.
func TestDeadlock(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE rooms (id integer PRIMARY KEY, n integer)")
	mustExec(t, f.admin, "INSERT INTO rooms VALUES (1, 0), (2, 0)")
	mustExec(t, f.admin, "CREATE TABLE orders (id integer)")
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
				tx.Produce(event{"a", "k", nil})
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
	if n := f.count(t, "rooms WHERE n = 1"); n != 2 {
		t.Errorf("%d rooms", n)
	}
	if a, b := f.count(t, "orders"), f.count(t, "events_outbox"); a != 1 || b != 1 {
		t.Errorf("%d orders, %d events", a, b)
	}
}

// A deadlock whose error comes between the rows of a query, where [Tx] cannot
// see it, is ignored by the handler. The server has rolled back, and what comes
// then must not take effect by itself.
func TestDeadlockWhileRowsAreRead(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE rooms (id integer PRIMARY KEY, n integer)")
	mustExec(t, f.admin, "INSERT INTO rooms VALUES (1, 0), (2, 0), (3, 0)")
	mustExec(t, f.admin, "CREATE TABLE orders (id integer)")
	mustExec(t, f.admin, "CREATE TABLE weights (id integer)") // the server's victim is who has changed less
	for name, c := range map[string]struct {
		query string
		level sql.IsolationLevel
	}{
		"FOR UPDATE":         {"SELECT id FROM rooms WHERE id > 0 ORDER BY id FOR\n UPDATE", sql.LevelReadCommitted},
		"LOCK IN SHARE MODE": {"select id from rooms where id > 0 order by id lock in share mode", sql.LevelDefault},
	} {
		t.Run(name, func(t *testing.T) {
			var working sync.WaitGroup
			other, err := f.admin.BeginTx(testContext(t), nil)
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
				tx.Produce(event{"a", "k", nil})
				return nil
			})
			working.Wait()
			if err == nil {
				t.Error("no error")
			}
			if a, b := f.count(t, "orders"), f.count(t, "events_outbox"); a != 0 || b != 0 {
				t.Errorf("%d orders, %d events", a, b)
			}
			var autocommit bool
			if err := f.pool.QueryRow("SELECT @@autocommit").Scan(&autocommit); err != nil || !autocommit {
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
			tx.Produce(event{"a", "k", nil})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var before sql.NullString
		if err := f.pool.QueryRow("SELECT @events_autocommit").Scan(&before); err != nil || before.Valid != c.guarded {
			t.Errorf("%s: guarded: %v, %v", c.query, before.Valid, err)
		}
	}
}

// What has been committed with raw SQL cannot be taken back, but is reported,
// and its events are not sent.
func TestTransactCommittedBehindItsBack(t *testing.T) {
	for name, commit := range map[string]func(*Tx) error{
		"COMMIT":           func(tx *Tx) error { _, err := tx.Exec("COMMIT"); return err },
		"COMMIT AND CHAIN": func(tx *Tx) error { _, err := tx.Exec("COMMIT AND CHAIN"); return err },
		"CREATE TABLE":     func(tx *Tx) error { _, err := tx.Exec("CREATE TABLE t (i integer)"); return err },
		"Commit":           func(tx *Tx) error { return tx.Commit() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			err := f.Transact(testContext(t), func(tx *Tx) error {
				tx.Produce(event{"a", "k", nil})
				return commit(tx)
			})
			if !errors.Is(err, eventmodels.ErrTransactionEnded) {
				t.Errorf("error: %v", err)
			}
			if n := f.count(t, "events_outbox"); n != 0 {
				t.Errorf("%d rows in the outbox", n)
			}
		})
	}
}

func TestTransactAfterPanic(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
	f.pool.SetMaxOpenConns(1)
	func() {
		defer func() {
			if r := recover(); r != errTest {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = f.Transact(testContext(t), func(tx *Tx) error {
			mustExec(t, tx, "INSERT INTO orders VALUES (1)")
			tx.Produce(event{"a", "k", nil})
			panic(errTest)
		})
	}()
	if n := f.count(t, "orders") + f.count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows", n)
	}
	if err := f.Transact(testContext(t), func(*Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

// Kafka's trouble does not make a committed transaction look failed.
func TestTransactWhenTheRelayFails(t *testing.T) {
	f := newFixture(t)
	f.producer.err = errTest
	if err := f.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k", nil}); return nil }); err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, "events_outbox"); n != 1 || len(f.producer.recorded) != 1 {
		t.Errorf("%d rows, recorded %v", n, f.producer.recorded)
	}
}

func TestProduceWithoutLibrary(t *testing.T) {
	f := newFixture(t)
	db := Wrap(f.pool)
	err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k", nil}); return nil })
	if !errors.Is(err, eventmodels.ErrNotConnected) {
		t.Errorf("error: %v", err)
	}
	if err := db.Transact(testContext(t), func(*Tx) error { return nil }); err != nil {
		t.Errorf("without events: %v", err)
	}
}

func TestProduceWithoutTables(t *testing.T) {
	db := Wrap(rawPool(t, emptyDatabase(t)))
	db.AugmentWithProducer(&fakeProducer{})
	err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k", nil}); return nil })
	if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "eventmysql.Migrate") {
		t.Errorf("tx.Produce: %v", err)
	}
	err = db.TransactOnce(testContext(t), []eventmodels.Mark{{1}}, func(*Tx, []bool) error { return nil })
	if !errors.Is(err, ErrSchema) {
		t.Errorf("TransactOnce: %v", err)
	}
	if _, err := db.OpenOutbox(testContext(t)); !errors.Is(err, ErrSchema) {
		t.Errorf("OpenOutbox: %v", err)
	}
}

// slowCommit makes every COMMIT of the server wait until the result is closed.
func (f *fixture) slowCommit(t *testing.T) (gate *sql.Conn) {
	t.Helper()
	gate, err := f.admin.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mysqldb.Discard(gate) })
	if _, err := gate.ExecContext(testContext(t), "FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatal(err)
	}
	return gate
}

// transactSlowly returns once COMMIT waits, with the connection's id and with
// the channel of Transact's result.
func (f *fixture) transactSlowly(t *testing.T, ctx context.Context) (gate *sql.Conn, id int64, result <-chan error) {
	t.Helper()
	mustExec(t, f.admin, "CREATE TABLE slow (id integer)")
	f.pool.SetMaxOpenConns(1)
	tx := f.begin(t) // one connection, whose id is known
	id = idOf(t, tx)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	waits, slow := make(chan struct{}), make(chan struct{})
	go func() {
		ended <- f.Transact(ctx, func(tx *Tx) error {
			if err := f.ProduceTx(ctx, tx, event{"a", "k", nil}); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO slow VALUES (1)")
			close(waits)
			<-slow
			return err
		})
	}()
	<-waits
	gate = f.slowCommit(t)
	close(slow)
	eventually(t, f.admin, "SELECT COUNT(*) = 1 FROM information_schema.processlist WHERE id = ? AND info = 'COMMIT'", id)
	return gate, id, ended
}

func TestCommitWhoseConnectionIsLost(t *testing.T) {
	f := newFixture(t)
	_, id, result := f.transactSlowly(t, testContext(t))
	mustExec(t, f.admin, fmt.Sprint("KILL ", id))
	err := <-result
	if !errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultAway {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
}

func TestCommitThatIsInterrupted(t *testing.T) {
	f := newFixture(t)
	_, id, result := f.transactSlowly(t, testContext(t))
	mustExec(t, f.admin, fmt.Sprint("KILL QUERY ", id))
	err := <-result
	if !errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultAway {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
	// Whatever has become of it, its connection is not used again.
	if n := f.count(t, fmt.Sprint("information_schema.processlist WHERE id = ", id)); n != 0 {
		eventually(t, f.admin, "SELECT COUNT(*) = 0 FROM information_schema.processlist WHERE id = ?", id)
	}
}

// A COMMIT that has been sent is waited for: the outcome is known although
// nobody is interested any more.
func TestCommitOutlivesItsContext(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(testContext(t))
	gate, _, result := f.transactSlowly(t, ctx)
	cancel()
	mysqldb.Discard(gate)
	if err := <-result; err != nil {
		t.Errorf("error: %v", err)
	}
	if n := f.count(t, "slow"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestTransactWhoseContextEnds(t *testing.T) {
	f := newFixture(t)
	f.pool.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(testContext(t))
	var before, after int64
	err := f.Transact(ctx, func(tx *Tx) error {
		before = idOf(t, tx)
		tx.Produce(event{"a", "k", nil})
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultEvent {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
	if n := f.count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows in the outbox", n)
	}
	_ = f.Transact(testContext(t), func(tx *Tx) error { after = idOf(t, tx); return nil })
	if before != after {
		t.Error("rolling back has cost a connection")
	}
	if err := f.Transact(ctx, func(*Tx) error { t.Error("called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestTransactWaitsForAConnectionNoLongerThanItsContext(t *testing.T) {
	f := newFixture(t)
	f.pool.SetMaxOpenConns(1)
	f.begin(t)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- f.Transact(ctx, func(*Tx) error { return nil }) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

func TestProduceTx(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	one := event{"a", "k", []byte("x")}
	for _, commit := range []bool{true, false} {
		sqlTx, err := f.admin.BeginTx(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ProduceTx(testContext(t), sqlTx, one, one); err != nil {
			t.Errorf("*sql.Tx: %v", err)
		}
		own := f.begin(t)
		if err := f.ProduceTx(testContext(t), own, one); err != nil {
			t.Errorf("*Tx: %v", err)
		}
		if err := f.ProduceTx(testContext(t), struct{ *sql.Tx }{own.Tx}, one); err != nil { // as of sqlx
			t.Errorf("a type with a *sql.Tx: %v", err)
		}
		want := 0
		if commit {
			want = 4
			err = errors.Join(sqlTx.Commit(), own.Commit())
		} else {
			err = errors.Join(sqlTx.Rollback(), own.Rollback())
		}
		rows := f.outbox(t, s)
		if err != nil || len(rows) != want {
			t.Errorf("commit %v: %d rows, %v", commit, len(rows), err)
		}
		for _, row := range rows {
			if err := s.DeleteOutbox(testContext(t), scope, []eventmodels.OutboxKey{row.OutboxKey()}); err != nil {
				t.Fatal(err)
			}
		}
	}

	tx := f.begin(t)
	if err := f.ProduceTx(testContext(t), tx, event{"unknown", "", nil}); !errors.Is(err, errUnknownTopic) {
		t.Errorf("an event that is wrong: %v", err)
	}
	if err := f.ProduceTx(testContext(t), tx); err != nil {
		t.Errorf("no event: %v", err)
	}
	conn, err := f.admin.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, wrong := range []any{nil, (*sql.Tx)(nil), (*Tx)(nil), f.admin, f.Unwrap(), f.DB, conn, "BEGIN"} {
		var typed *TransactionTypeError
		if err := f.ProduceTx(testContext(t), wrong, one); !errors.As(err, &typed) || !strings.Contains(err.Error(), "eventmysql.Tx") {
			t.Errorf("%T: %v", wrong, err)
		}
	}
}

// The locks are those of the keys, held until the end.
func TestKeyLocks(t *testing.T) {
	f := newFixture(t, WithKeyLocks())
	for _, c := range []struct {
		key  string
		wait bool
	}{{"k", true}, {"another key", false}, {"", false}} {
		first := f.begin(t)
		if err := f.ProduceTx(testContext(t), first, event{"a", "k", nil}, event{"a", "z", nil}); err != nil {
			t.Fatal(err)
		}
		second := f.begin(t)
		inserted := make(chan error, 1)
		go func() { inserted <- f.ProduceTx(testContext(t), second, event{"a", c.key, nil}) }()
		if c.wait {
			f.awaitBlocked(t, "SELECT bucket", 1)
			if err := first.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-inserted; err != nil {
			t.Errorf("key %q: %v", c.key, err)
		}
		for _, tx := range []*Tx{first, second} {
			_ = tx.Rollback()
		}
	}
	mustExec(t, f.admin, "DELETE FROM events_key_locks WHERE bucket > 0")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		tx.Produce(event{"a", "k", nil}, event{"a", "l", nil})
		return nil
	})
	if !errors.Is(err, ErrSchema) {
		t.Errorf("without the rows: %v", err)
	}
}

// Services may bring types of their own.
func TestOwnTypes(t *testing.T) {
	f := newFixture(t)
	ctx := testContext(t)
	t.Run("database/sql", func(t *testing.T) {
		db := New[*sql.Tx](f.pool)
		db.AugmentWithProducer(&fakeProducer{})
		err := db.Transact(ctx, func(tx *sql.Tx) error { return db.ProduceTx(ctx, tx, event{"a", "k", nil}) })
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("eventdb's example", func(t *testing.T) {
		db := New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: f.pool})
		db.AugmentWithProducer(&fakeProducer{})
		if err := db.Transact(ctx, func(tx *eventdb.ExampleBasicTX) error { tx.Produce(event{"b", "k", nil}); return nil }); err != nil {
			t.Fatal(err)
		}
		s, err := db.OpenOutbox(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		f.pool.SetMaxOpenConns(mysqldb.KeptConnections + 7)
		defer f.pool.SetMaxOpenConns(0)
		if n := db.MaxConnections(); n != 7 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("without Conn", func(t *testing.T) {
		db := New[*sql.Tx](bareDB{f.pool})
		if _, err := db.OpenOutbox(ctx); err == nil || !strings.Contains(err.Error(), "bareDB") {
			t.Errorf("error: %v", err)
		}
		if n := db.MaxConnections(); n != 0 {
			t.Errorf("%d connections", n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if n := f.count(t, "events_outbox"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// bareDB has what eventdb.BasicDB asks for, and no more.
type bareDB struct{ db *sql.DB }

func (d bareDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.db.ExecContext(ctx, query, args...)
}
func (d bareDB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.db.QueryContext(ctx, query, args...)
}
func (d bareDB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return d.db.QueryRowContext(ctx, query, args...)
}
func (d bareDB) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	return d.db.BeginTx(ctx, opts)
}
