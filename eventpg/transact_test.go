package eventpg

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// failures are the transactions of the suite that only PostgreSQL, or pgx, does
// not commit.
var failures = map[string]storetest.Failure[*Tx]{
	"a swallowed SQL error, with events": {
		Do: func(tx *Tx) error {
			produceOrder(tx)
			_, _ = tx.ExecContext(context.Background(), "SELECT 1/0")
			return nil
		},
		Want: answered("25P02"), Fault: eventmodels.FaultEvent,
	},
	"a swallowed SQL error, without": {
		Do: func(tx *Tx) error {
			_, _ = tx.ExecContext(context.Background(), "INSERT INTO orders (id) VALUES (1)")
			_, _ = tx.ExecContext(context.Background(), "SELECT 1/0")
			return nil
		},
		Want: storetest.Is(pgx.ErrTxCommitRollback), Fault: eventmodels.FaultEvent,
	},
	"a deferred constraint": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_, err := tx.ExecContext(context.Background(), "INSERT INTO orders (id, parent) VALUES (1, 2)")
			return err
		},
		Want: answered("23503"), Fault: eventmodels.FaultEvent,
	},
	"raw ROLLBACK on the native connection": {
		Do: func(tx *Tx) error {
			produceOrder(tx)
			_, err := tx.Native().Exec(context.Background(), "ROLLBACK")
			return err
		},
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
	"rows left open": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_, err := tx.QueryContext(context.Background(), "SELECT generate_series(1, 100000)") //nolint
			return err
		},
		Want: storetest.Is(errBusy), Fault: eventmodels.FaultEvent,
	},
	"rows left open on the native connection": {
		Do: func(tx *Tx) error {
			_, err := tx.Native().Query(context.Background(), "SELECT generate_series(1, 100000)")
			return err
		},
		Want: func(err error) bool { return err != nil }, Fault: eventmodels.FaultEvent,
	},
	"the server process is ended": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_, err := tx.ExecContext(context.Background(), "SELECT pg_terminate_backend(pg_backend_pid())")
			return err
		},
		Want: answered("57P01"), Fault: eventmodels.FaultAway,
	},
	"the server process was ended, and nobody has noticed": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_, _ = tx.ExecContext(context.Background(), "SELECT pg_terminate_backend(pg_backend_pid())")
			return nil
		},
		Want: storetest.Is(errLostBefore), Fault: eventmodels.FaultAway,
	},
}

// produceOrder stores an order, and produces an event.
func produceOrder(tx *Tx) {
	tx.Produce(event("a", "k", nil))
	_, _ = tx.ExecContext(context.Background(), "INSERT INTO orders (id) VALUES (1)")
}

func answered(code string) func(error) bool {
	return func(err error) bool {
		var answer *pgconn.PgError
		return errors.As(err, &answer) && answer.Code == code
	}
}

// The native connection is in the same transaction.
func TestNativeConnection(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE orders (id integer PRIMARY KEY)")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		produceOrder(tx)
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
	if n, events := f.Count(t, "orders"), f.Count(t, "events_outbox"); n != 3 || events != 1 {
		t.Errorf("%d orders, %d events", n, events)
	}
}
