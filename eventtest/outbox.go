package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

func (s *suite[ID, TX, DB]) outbox(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"CommitAndRollback": s.outboxCommitAndRollback,
		"CommitRefused":     s.outboxCommitRefused,
		"WrongEvents":       s.outboxWrongEvents,
		"LargeTransaction":  s.outboxLargeTransaction,
		"Bytes":             s.outboxBytes,
		"Order":             s.outboxOrder,
		"LongTransaction":   s.outboxLongTransaction,
		"Outage":            s.outboxOutage,
		"NoRelay":           s.outboxNoRelay,
		"Lazy":              s.outboxLazy,
		"RelayEnded":        s.outboxRelayEnded,
		"TwoRelays":         s.outboxTwoRelays,
		"GracefulTakeover":  s.outboxGracefulTakeover,
		"KilledLeader":      s.outboxKilledLeader,
		"StoppedLeader":     s.outboxStoppedLeader,
		"Parked":            s.outboxParked,
		"ParkedPages":       s.outboxParkedPages,
		"HeldTopics":        s.outboxHeldTopics,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// exec runs a statement in a transaction.
func (w *world[ID, TX, DB]) exec(tx TX, statement string, args ...any) error {
	_, err := tx.ExecContext(context.Background(), w.sql(statement), args...)
	return err
}

// schema runs statements that define tables, each in a transaction of its own.
func (s *service[ID, TX, DB]) schema(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		err := s.db.Transact(context.Background(), func(tx TX) error {
			_, err := tx.ExecContext(context.Background(), statement)
			return err
		})
		if s.h.CommitsDefinitions && errors.Is(err, eventmodels.ErrTransactionEnded) {
			err = nil
		}
		if err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// count is the result of a query for a number.
func (s *service[ID, TX, DB]) count(query string, args ...any) (n int) {
	s.t.Helper()
	s.transact(func(tx TX) error {
		return tx.QueryRowContext(context.Background(), s.sql(query), args...).Scan(&n)
	})
	return n
}

// waiting is the number of rows in the outbox.
func (s *service[ID, TX, DB]) waiting() int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM events_outbox`)
}

// drained waits until the outbox is empty.
func (s *service[ID, TX, DB]) drained() {
	s.t.Helper()
	eventually(s.t, "an empty outbox", func() bool {
		return s.count(`SELECT count(*) FROM (SELECT 1 FROM events_outbox LIMIT 1) AS first`) == 0
	})
}

// cable is a service's way to the brokers, which can be cut.
func (w *world[ID, TX, DB]) cable(register func(lib *events.Library[ID, TX, DB])) (*service[ID, TX, DB], *eventembed.Dialer) {
	w.t.Helper()
	dialer := newCable(w.t)
	return w.library(func(lib *events.Library[ID, TX, DB]) {
		lib.SetDialer(dialer.DialContext)
		if register != nil {
			register(lib)
		}
	}), dialer
}

// Events of a transaction are sent if it commits, and not if it fails, panics
// or is given up.
func (s *suite[ID, TX, DB]) outboxCommitAndRollback(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	svc.relay()
	svc.schema(`CREATE TABLE things (n INTEGER PRIMARY KEY)`)

	failed := errors.New("no")
	try := func(n int, end func(cancel context.CancelFunc) error) (panicked any, err error) {
		defer func() { panicked = recover() }()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		return nil, svc.db.Transact(ctx, func(tx TX) error {
			if err := w.exec(tx, `INSERT INTO things VALUES (?)`, n); err != nil {
				return err
			}
			produceIn(tx, orders.Event("k", order{N: n}))
			return end(cancel)
		})
	}
	if _, err := try(1, func(context.CancelFunc) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := try(-1, func(context.CancelFunc) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a function that fails: %v", err)
	}
	if panicked, _ := try(-2, func(context.CancelFunc) error { panic("oh") }); panicked != "oh" {
		t.Errorf("a function that panics: %v", panicked)
	}
	if _, err := try(-3, func(cancel context.CancelFunc) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
	// Not even a constraint that fails with the statement before.
	if _, err := try(1, func(context.CancelFunc) error { return nil }); err == nil {
		t.Error("the same row twice")
	}
	if _, err := try(2, func(context.CancelFunc) error { return nil }); err != nil {
		t.Fatal(err)
	}
	svc.drained()
	inOrder(t, w.records("orders"), 2)
	if n := svc.count(`SELECT count(*) FROM things`); n != 2 {
		t.Errorf("%d rows are there, want 2", n)
	}
}

// A COMMIT that the database refuses sends nothing.
func (s *suite[ID, TX, DB]) outboxCommitRefused(t *testing.T) {
	if !s.h.DeferredConstraints {
		t.Skip("the database has no constraint that COMMIT checks")
	}
	w := s.world(t)
	svc := w.library(nil)
	svc.relay()
	svc.schema(`CREATE TABLE parents (id INTEGER PRIMARY KEY)`,
		`CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`)
	child := func(n, parent int) error {
		return svc.db.Transact(context.Background(), func(tx TX) error {
			if err := w.exec(tx, `INSERT INTO children VALUES (?, ?)`, n, parent); err != nil {
				return err
			}
			produceIn(tx, orders.Event("k", order{N: n}))
			return nil
		})
	}
	err := child(-1, 7)
	if err == nil || errors.Is(err, eventmodels.ErrCommitUnknown) {
		t.Errorf("a COMMIT that violates a constraint: %v", err)
	}
	svc.transact(func(tx TX) error { return w.exec(tx, `INSERT INTO parents VALUES (7)`) })
	if err := child(1, 7); err != nil {
		t.Fatal(err)
	}
	svc.drained()
	inOrder(t, w.records("orders"), 1)
}

// An event that is wrong is refused when it is produced, with an error that
// says what is wrong, and its transaction rolls back.
func (s *suite[ID, TX, DB]) outboxWrongEvents(t *testing.T) {
	w := s.world(t)
	svc := w.libraryThat(true, func(lib *events.Library[ID, TX, DB]) { lib.SetTopicConfig(announced("orders")) })
	svc.relay()
	svc.schema(`CREATE TABLE things (n INTEGER PRIMARY KEY)`)
	for name, test := range map[string]struct {
		event eventmodels.ProducingEvent
		is    func(error) bool
	}{
		"unregistered topic": {eventmodels.BindTopic[order]("others").Event("k", order{}), func(err error) bool {
			var unregistered *events.UnregisteredTopicsError
			return errors.Is(err, events.UnregisteredTopicError) && errors.As(err, &unregistered) && slices.Equal(unregistered.Topics, []string{"others"})
		}},
		"too large": {orders.Event("k", order{ID: strings.Repeat("x", 2<<20)}), func(err error) bool {
			var big *events.TooBigError
			return errors.Is(err, events.ErrTooBig) && errors.As(err, &big) && big.Topic == "orders" && big.Size > 2<<20 && big.Limit > 1<<19
		}},
		"not encodable": {eventmodels.BindTopic[chan int]("orders").Event("k", make(chan int)), isInvalid("orders")},
		"nil":           {nil, isInvalid("")},
		"nil pointer":   {(*rawEvent)(nil), isInvalid("")},
		"reserved":      {orders.Event("k", order{}).WithHeader("ce_id", "x"), isInvalid("orders")},
		"illegal topic": {eventmodels.BindTopic[order]("or/ders").Event("k", order{}), func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			err := svc.db.Transact(context.Background(), func(tx TX) error {
				if err := w.exec(tx, `INSERT INTO things VALUES (1)`); err != nil {
					return err
				}
				produceIn(tx, orders.Event("k", order{N: -1}), test.event, orders.Event("k", order{N: -1}))
				return nil
			})
			if !test.is(err) {
				t.Errorf("Transact: %v (%T)", err, err)
			}
			if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, test.event); !test.is(err) {
				t.Errorf("Produce: %v (%T)", err, err)
			}
		})
	}
	svc.transact(func(tx TX) error {
		produceIn(tx, orders.Event("k", order{N: 1}))
		return nil
	})
	svc.drained()
	inOrder(t, w.records("orders"), 1)
	if n := svc.count(`SELECT count(*) FROM things`); n != 0 {
		t.Errorf("%d transactions with wrong events have committed", n)
	}
}

func isInvalid(topic string) func(error) bool {
	return func(err error) bool {
		var invalid *eventmodels.InvalidEventError
		return errors.As(err, &invalid) && invalid.Topic == topic
	}
}

// Any number of events fits into a transaction.
func (s *suite[ID, TX, DB]) outboxLargeTransaction(t *testing.T) {
	const keys, each = 50, 400
	w := s.world(t)
	// The relay begins afterwards: on SQLite the transaction keeps it from
	// renewing its lease, and on a busy machine for longer than that lasts.
	svc := w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetLazyTxProduce(true) })
	svc.transact(func(tx TX) error {
		for n := range each {
			for k := range keys {
				produceIn(tx, orders.Event(fmt.Sprint("k", k), order{N: n + 1}))
			}
		}
		return nil
	})
	svc.relay()
	w.stored("orders", keys*each) // before the database is asked all the time
	svc.drained()
	inOrder(t, w.records("orders"), keys*each)
}
