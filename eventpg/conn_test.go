package eventpg

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/eventmodels"
)

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
