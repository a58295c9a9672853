package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// produce produces an event.
func produce[T TX](tx T) { tx.Produce(Event("a", "k", nil)) }

// execute executes a statement whose error is the test's own matter.
func execute[T TX](tx T, statement string) error {
	_, err := tx.ExecContext(context.Background(), statement)
	return err
}

// order inserts a row of the table orders.
func order[T TX](tx T, id int) error {
	return execute(tx, fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", id))
}

const createOrders = "CREATE TABLE orders (id integer PRIMARY KEY)"

func (b *Backend[ID, T, D, O]) transactCommitsDataAndEvents(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	MustExec(t, d.Admin, createOrders)
	var ended T
	err := d.Opened.Transact(Context(t), func(tx T) error {
		ended = tx
		tx.Produce(Event("a", "k", []byte("1")), Event("b", "", nil))
		var n int
		if err := errors.Join(order(tx, 1), tx.QueryRowContext(Context(t), "SELECT count(*) FROM orders").Scan(&n)); err != nil || n != 1 {
			t.Errorf("%d orders, %v", n, err)
		}
		return errors.Join(order(tx, 2), order(tx, 3))
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.Count(t, "orders"); n != 3 {
		t.Errorf("%d orders", n)
	}
	rows := Outbox(t, s)
	if got := TopicsOf(rows); !slices.Equal(got, []string{Scope + "a", Scope + "b"}) {
		t.Fatalf("outbox: %v", got)
	}
	for i, topic := range []string{"a", "b"} {
		if ids := d.Producer.Produced[topic]; len(ids) != 1 || ids[0].Get() != rows[i].ID {
			t.Errorf("told the producer of %v for %s, and %s is stored", ids, topic, rows[i].ID)
		}
	}
	if told := d.Producer.Recorded; len(told) != 0 {
		t.Errorf("told of %v", told)
	}
	ended.Produce(Event("late", "k", nil))
	if told := d.Producer.Recorded; len(told) != 1 || !strings.Contains(told[0].Error(), `"late"`) {
		t.Errorf("an event that came too late: told of %v", told)
	}
}

func (b *Backend[ID, T, D, O]) transactOfManyEvents(t *testing.T) {
	for name, opts := range map[string][]O{"Plain": nil, "WithKeyLocks": {b.WithKeyLocks()}} {
		t.Run(name, func(t *testing.T) {
			const n = 20_000
			d := b.NewDatabase(t, opts...)
			s := d.OpenStore(t)
			err := d.Opened.Transact(Context(t), func(tx T) error {
				for i := range n {
					tx.Produce(Event("a", fmt.Sprint(i), []byte(fmt.Sprint(i))))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			rows := Outbox(t, s)
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

// Is says whether an error is target.
func Is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// A transaction that does not commit sends nothing and leaves nothing behind.
func (b *Backend[ID, T, D, O]) transactThatFails(t *testing.T) {
	failures := map[string]Failure[T]{
		"an error of fn": {func(tx T) error { produce(tx); return errors.Join(order(tx, 1), ErrTest) },
			Is(ErrTest), eventmodels.FaultEvent},
		"an event that is wrong": {func(tx T) error { produce(tx); tx.Produce(Event(Unknown, "k", nil)); return order(tx, 1) },
			Is(ErrUnknownTopic), eventmodels.FaultEvent},
		"raw ROLLBACK": {func(tx T) error { produce(tx); return execute(tx, "ROLLBACK") },
			Is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"raw ROLLBACK, without events": {func(tx T) error { return execute(tx, "ROLLBACK") },
			Is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"Rollback": {func(tx T) error { produce(tx); return errors.Join(order(tx, 1), tx.Rollback()) },
			Is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"Commit": {func(tx T) error { produce(tx); return errors.Join(order(tx, 1), tx.Commit()) },
			Is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
		"Commit, without looking at its error": {func(tx T) error { produce(tx); err := order(tx, 1); _ = tx.Commit(); return err },
			Is(eventmodels.ErrTransactionEnded), eventmodels.FaultEvent},
	}
	maps.Copy(failures, b.Failures)
	for name, c := range failures {
		t.Run(name, func(t *testing.T) {
			d := b.NewDatabase(t, b.WithMarkWait(time.Second))
			b.Prepare(t, d)
			d.Pool.SetMaxOpenConns(1)
			err := d.Opened.Transact(Context(t), c.Do)
			if !c.Want(err) {
				t.Errorf("error: %v", err)
			}
			if errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("the outcome is called unknown: %v", err)
			}
			if fault := d.Opened.Fault(err); fault != c.Fault {
				t.Errorf("fault: %v of %v", fault, err)
			}
			if n := d.Count(t, "events_outbox"); n != 0 {
				t.Errorf("%d rows in the outbox", n)
			}
			if n := d.Count(t, "orders"); n != 0 {
				t.Errorf("%d orders", n)
			}
			if len(d.Producer.Produced) != 0 {
				t.Error("the relay was called")
			}
			// The only connection of the pool is free, and whole.
			if err := d.Opened.Transact(Context(t), func(tx T) error { return order(tx, 5) }); err != nil {
				t.Errorf("the next transaction: %v", err)
			}
		})
	}
}

// What has been committed with raw SQL cannot be taken back, but is reported,
// and its events are not sent.
func (b *Backend[ID, T, D, O]) transactCommittedBehindItsBack(t *testing.T) {
	commits := map[string]func(T) error{
		"COMMIT": func(tx T) error { return execute(tx, "COMMIT") },
	}
	maps.Copy(commits, b.Commits)
	for name, commit := range commits {
		t.Run(name, func(t *testing.T) {
			d := b.NewDatabase(t)
			err := d.Opened.Transact(Context(t), func(tx T) error {
				produce(tx)
				return commit(tx)
			})
			if !errors.Is(err, eventmodels.ErrTransactionEnded) {
				t.Errorf("error: %v", err)
			}
			if n := d.Count(t, "events_outbox"); n != 0 {
				t.Errorf("%d rows in the outbox", n)
			}
		})
	}
}

func (b *Backend[ID, T, D, O]) transactAfterPanic(t *testing.T) {
	d := b.NewDatabase(t)
	MustExec(t, d.Admin, createOrders)
	d.Pool.SetMaxOpenConns(1)
	func() {
		defer func() {
			if r := recover(); r != ErrTest {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = d.Opened.Transact(Context(t), func(tx T) error {
			if err := order(tx, 1); err != nil {
				t.Error(err)
			}
			produce(tx)
			panic(ErrTest)
		})
	}()
	if n := d.Count(t, "orders") + d.Count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows", n)
	}
	if err := d.Opened.Transact(Context(t), func(T) error { return nil }); err != nil {
		t.Error(err)
	}
}

// Kafka's trouble does not make a committed transaction look failed.
func (b *Backend[ID, T, D, O]) transactWhenTheRelayFails(t *testing.T) {
	d := b.NewDatabase(t)
	d.Producer.Err = ErrTest
	if err := d.Opened.Transact(Context(t), func(tx T) error { produce(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	if n := d.Count(t, "events_outbox"); n != 1 || len(d.Producer.Recorded) != 1 {
		t.Errorf("%d rows, recorded %v", n, d.Producer.Recorded)
	}
}

func (b *Backend[ID, T, D, O]) produceWithoutLibrary(t *testing.T) {
	db := b.wrap(t, b.NewDatabase(t).Pool)
	err := db.Transact(Context(t), func(tx T) error { produce(tx); return nil })
	if !errors.Is(err, eventmodels.ErrNotConnected) {
		t.Errorf("error: %v", err)
	}
	if err := db.Transact(Context(t), func(T) error { return nil }); err != nil {
		t.Errorf("without events: %v", err)
	}
}

func (b *Backend[ID, T, D, O]) produceWithoutTables(t *testing.T) {
	db := b.wrap(t, b.Pool(t, b.Empty(t)))
	db.AugmentWithProducer(&Producer[ID]{})
	err := db.Transact(Context(t), func(tx T) error { produce(tx); return nil })
	if !errors.Is(err, b.ErrSchema) || !strings.Contains(err.Error(), b.Name+".Migrate") {
		t.Errorf("tx.Produce: %v", err)
	}
	err = db.TransactOnce(Context(t), []eventmodels.Mark{{1}}, func(T, []bool) error { return nil })
	if !errors.Is(err, b.ErrSchema) {
		t.Errorf("TransactOnce: %v", err)
	}
	if _, err := db.OpenOutbox(Context(t)); !errors.Is(err, b.ErrSchema) {
		t.Errorf("OpenOutbox: %v", err)
	}
}
