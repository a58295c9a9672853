package eventmysql

import (
	"errors"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// failures are the transactions of the suite that only MySQL does not commit.
var failures = map[string]storetest.Failure[*Tx]{
	"a lock timeout": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			return errors.Join(insert(tx, 1), waitInVain(tx))
		},
		Want: answered(1205), Fault: eventmodels.FaultConflict,
	},
	"a swallowed lock timeout": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_ = insert(tx, 1)
			_ = waitInVain(tx)
			if insert(tx, 2) == nil || tx.QueryRow("SELECT 1").Scan(new(int)) == nil {
				return errors.New("the transaction goes on")
			}
			return nil
		},
		Want: answered(1205), Fault: eventmodels.FaultConflict,
	},
	"a swallowed lock timeout at the end, without events": {
		Do:   func(tx *Tx) error { _ = insert(tx, 1); _ = waitInVain(tx); return nil },
		Want: answered(1205), Fault: eventmodels.FaultConflict,
	},
	"a swallowed deadlock": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_ = insert(tx, 1)
			_, _ = tx.Exec("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
			_ = insert(tx, 2)
			return nil
		},
		Want: answered(1213), Fault: eventmodels.FaultConflict,
	},
	"raw ROLLBACK of the *sql.Tx, without events": {
		Do:   func(tx *Tx) error { _, err := tx.Tx.Exec("ROLLBACK"); return err },
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
	"raw ROLLBACK, and another transaction": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_, _ = tx.Exec("ROLLBACK")
			_, err := tx.Exec("START TRANSACTION")
			return err
		},
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
	"Rollback of the *sql.Tx": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			return errors.Join(insert(tx, 1), tx.Tx.Rollback())
		},
		Want: storetest.Is(eventmodels.ErrTransactionEnded), Fault: eventmodels.FaultEvent,
	},
	"rows left open": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_ = insert(tx, 1)
			_, err := tx.Query("SELECT a.id FROM numbers AS a JOIN numbers AS b JOIN numbers AS c") //nolint
			return err
		},
		Want: failed, Fault: eventmodels.FaultAway,
	},
	"the connection is killed": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_ = insert(tx, 1)
			_, err := tx.Exec("KILL CONNECTION_ID()")
			return err
		},
		Want: failed, Fault: eventmodels.FaultAway,
	},
	"the connection was killed, and nobody has noticed": {
		Do: func(tx *Tx) error {
			tx.Produce(event("a", "k", nil))
			_ = insert(tx, 1)
			_, _ = tx.Tx.Exec("KILL CONNECTION_ID()")
			return nil
		},
		Want: failed, Fault: eventmodels.FaultAway,
	},
	"the connection was killed, and nobody has noticed, without events": {
		Do:   func(tx *Tx) error { _ = insert(tx, 1); _, _ = tx.Tx.Exec("KILL CONNECTION_ID()"); return nil },
		Want: failed, Fault: eventmodels.FaultAway,
	},
}

func answered(number uint16) func(error) bool {
	return func(err error) bool { return mysqldb.Number(err) == number }
}

func failed(err error) bool { return err != nil }

func insert(tx *Tx, id int) error {
	_, err := tx.Exec("INSERT INTO orders (id) VALUES (?)", id)
	return err
}

// waitInVain waits for a lock that the test has, for no longer than a second.
func waitInVain(tx *Tx) error {
	_, err := tx.Exec("UPDATE busy SET n = n + 1")
	return err
}

// Key locks are rows, and it is noticed when they are missing.
func TestKeyLocksWithoutRows(t *testing.T) {
	f := newFixture(t, WithKeyLocks())
	if n := f.Count(t, "events_key_locks"); n != 256 {
		t.Errorf("%d rows to lock", n)
	}
	mustExec(t, f.Admin, "DELETE FROM events_key_locks WHERE bucket > 0")
	err := f.Transact(testContext(t), func(tx *Tx) error {
		tx.Produce(event("a", "k", nil), event("a", "l", nil))
		return nil
	})
	if !errors.Is(err, ErrSchema) {
		t.Errorf("error: %v", err)
	}
}
