package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

var errTest = errors.New("an error of the test")

func TestTransactCommitsDataAndEvents(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	mustExec(t, f.admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		mustExec(t, tx, "INSERT INTO orders VALUES (1)")
		tx.Produce(event{"a", "k", []byte("1")}, event{"b", "", nil})
		// The native connection is in the same transaction.
		var n int
		if err := tx.Native().QueryRow(testContext(t), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 1 {
			t.Errorf("the native connection sees %d orders, %v", n, err)
		}
		_, err := tx.Native().CopyFrom(testContext(t), pgx.Identifier{"orders"}, []string{"id"}, pgx.CopyFromRows([][]any{{2}, {3}}))
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
	answered := func(code string) func(error) bool {
		return func(err error) bool {
			var answer *pgconn.PgError
			return errors.As(err, &answer) && answer.Code == code
		}
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	produce := func(tx *Tx) { tx.Produce(event{"a", "k", nil}) }
	insert := func(tx *Tx, id int) error {
		_, err := tx.ExecContext(context.Background(), "INSERT INTO orders (id, parent) VALUES ($1, $2)", id, id)
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
		"a swallowed SQL error, with events": {func(tx *Tx) error {
			produce(tx)
			_ = insert(tx, 1)
			_, _ = tx.ExecContext(context.Background(), "SELECT 1/0")
			return nil
		}, answered("25P02"), eventmodels.FaultEvent},
		"a swallowed SQL error, without": {func(tx *Tx) error {
			_ = insert(tx, 1)
			_, _ = tx.ExecContext(context.Background(), "SELECT 1/0")
			return nil
		}, is(pgx.ErrTxCommitRollback), eventmodels.FaultEvent},
		"a deferred constraint": {func(tx *Tx) error {
			produce(tx)
			_, err := tx.ExecContext(context.Background(), "INSERT INTO orders (id, parent) VALUES (1, 2)")
			return err
		}, answered("23503"), eventmodels.FaultEvent},
		"raw ROLLBACK": {func(tx *Tx) error {
			produce(tx)
			_, err := tx.Native().Exec(context.Background(), "ROLLBACK")
			return err
		}, is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"raw ROLLBACK in SQL, without events": {func(tx *Tx) error {
			_, err := tx.ExecContext(context.Background(), "ROLLBACK")
			return err
		}, is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"Rollback": {func(tx *Tx) error { produce(tx); return errors.Join(insert(tx, 1), tx.Rollback()) },
			is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"rows left open": {func(tx *Tx) error {
			produce(tx)
			_, err := tx.QueryContext(context.Background(), "SELECT generate_series(1, 100000)") //nolint
			return err
		}, is(errBusy), eventmodels.FaultEvent},
		"rows left open on the native connection": {func(tx *Tx) error {
			_, err := tx.Native().Query(context.Background(), "SELECT generate_series(1, 100000)")
			return err
		}, func(err error) bool { return err != nil && !errors.Is(err, eventmodels.ErrCommitUnknown) }, eventmodels.FaultEvent},
		"the server process is ended": {func(tx *Tx) error {
			produce(tx)
			_, err := tx.ExecContext(context.Background(), "SELECT pg_terminate_backend(pg_backend_pid())")
			return err
		}, answered("57P01"), eventmodels.FaultAway},
		"the server process was ended, and nobody has noticed": {func(tx *Tx) error {
			produce(tx)
			_, _ = tx.ExecContext(context.Background(), "SELECT pg_terminate_backend(pg_backend_pid())")
			return nil
		}, is(errLostBefore), eventmodels.FaultAway},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			mustExec(t, f.admin, `CREATE TABLE orders (id integer PRIMARY KEY, parent integer
				REFERENCES orders DEFERRABLE INITIALLY DEFERRED)`)
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

// What has been committed with raw SQL cannot be taken back, but is reported,
// and its events are not sent.
func TestTransactCommittedBehindItsBack(t *testing.T) {
	for name, commit := range map[string]func(*Tx) error{
		"COMMIT": func(tx *Tx) error { _, err := tx.Native().Exec(context.Background(), "COMMIT"); return err },
		"Commit": func(tx *Tx) error { return tx.Commit() },
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
	db := Wrap(rawPool(t, emptySchema(t)))
	db.AugmentWithProducer(&fakeProducer{})
	err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k", nil}); return nil })
	if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "eventpg.Migrate") {
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

// slowCommit makes every COMMIT of a transaction that writes to the table slow
// wait for a lock that the result holds.
func (f *fixture) slowCommit(t *testing.T) (gate *sql.Tx) {
	t.Helper()
	mustExec(t, f.admin, `
		CREATE TABLE slow (id integer);
		CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(2, 78); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`)
	gate = f.beginAdmin(t)
	mustExec(t, gate, "SELECT pg_advisory_xact_lock(2, 78)")
	return gate
}

// transactSlowly returns once COMMIT waits, with the server process and with
// the channel of Transact's result.
func (f *fixture) transactSlowly(t *testing.T, ctx context.Context) (pid int, result <-chan error) {
	t.Helper()
	started, ended := make(chan int, 1), make(chan error, 1)
	go func() {
		ended <- f.Transact(ctx, func(tx *Tx) error {
			started <- pidOf(t, tx)
			tx.Produce(event{"a", "k", nil})
			_, err := tx.ExecContext(ctx, "INSERT INTO slow VALUES (1)")
			return err
		})
	}()
	pid = <-started
	eventually(t, f.admin, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted", pid)
	return pid, ended
}

func TestCommitWhoseConnectionIsLost(t *testing.T) {
	f := newFixture(t)
	f.slowCommit(t)
	pid, result := f.transactSlowly(t, testContext(t))
	mustExec(t, f.admin, "SELECT pg_terminate_backend($1)", pid)
	err := <-result
	if !errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultAway {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
}

func TestCommitThatIsCancelledByTheServer(t *testing.T) {
	f := newFixture(t)
	f.slowCommit(t)
	pid, result := f.transactSlowly(t, testContext(t))
	mustExec(t, f.admin, "SELECT pg_cancel_backend($1)", pid)
	err := <-result
	if err == nil || errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultEvent {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
	if n := f.count(t, "slow") + f.count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// A COMMIT that has been sent is waited for: the outcome is known although
// nobody is interested any more.
func TestCommitOutlivesItsContext(t *testing.T) {
	f := newFixture(t)
	gate := f.slowCommit(t)
	ctx, cancel := context.WithCancel(testContext(t))
	_, result := f.transactSlowly(t, ctx)
	cancel()
	if err := gate.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("error: %v", err)
	}
	if n := f.count(t, "slow"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// A limit that is reached in COMMIT leaves it unknown.
func TestCommitBeyondItsLimit(t *testing.T) {
	f := newFixture(t)
	f.slowCommit(t)
	tx := f.begin(t)
	pid := pidOf(t, tx)
	mustExec(t, tx, "INSERT INTO slow VALUES (1)")
	result := make(chan error, 1)
	go func() { result <- tx.Commit() }()
	eventually(t, f.admin, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted", pid)
	tx.abandon() // what the timer does
	err := <-result
	if err == nil || (dialect{}).CommitRefused(err) {
		t.Errorf("refused: %v", err)
	}
}

func TestTransactWhoseContextEnds(t *testing.T) {
	f := newFixture(t)
	f.pool.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(testContext(t))
	var before, after int
	err := f.Transact(ctx, func(tx *Tx) error {
		before = pidOf(t, tx)
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
	_ = f.Transact(testContext(t), func(tx *Tx) error { after = pidOf(t, tx); return nil })
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
	native, err := pgxpool.New(testContext(t), f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer native.Close()
	one := event{"a", "k", []byte("x")}
	for _, commit := range []bool{true, false} {
		sqlTx, err := f.admin.BeginTx(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ProduceTx(testContext(t), sqlTx, one, one); err != nil {
			t.Errorf("*sql.Tx: %v", err)
		}
		pgxTx, err := native.Begin(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ProduceTx(testContext(t), pgxTx, one, one); err != nil {
			t.Errorf("pgx.Tx: %v", err)
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
			want = 6
			err = errors.Join(sqlTx.Commit(), pgxTx.Commit(testContext(t)), own.Commit())
		} else {
			err = errors.Join(sqlTx.Rollback(), pgxTx.Rollback(testContext(t)), own.Rollback())
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
	for _, wrong := range []any{nil, (*sql.Tx)(nil), (*Tx)(nil), f.admin, f.Unwrap(), f.DB, conn, native, "BEGIN"} {
		var typed *TransactionTypeError
		if err := f.ProduceTx(testContext(t), wrong, one); !errors.As(err, &typed) || !strings.Contains(err.Error(), "pgx.Tx") {
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
		pid := pidOf(t, second)
		inserted := make(chan error, 1)
		go func() { inserted <- f.ProduceTx(testContext(t), second, event{"a", c.key, nil}) }()
		if c.wait {
			eventually(t, f.admin, `SELECT count(*) = 1 FROM pg_locks WHERE pid = $1 AND locktype = 'advisory'
				AND classid = $2 AND objsubid = 2 AND NOT granted`, pid, uint32(KeyLockClass(scope)))
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
	if KeyLockClass("a") == KeyLockClass("b") {
		t.Error("two scopes have the same locks")
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
		f.pool.SetMaxOpenConns(7)
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
