package events2

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Transactions lock rows of the prefix that New was given.
func TestLockPrefix(t *testing.T) {
	pool := tables(t)
	for _, prefix := range []string{"locks.", ""} {
		db := New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: pool}, prefix)
		defer db.Close()
		db.AugmentWithProducer(newProducer())
		if err := db.Transact(testContext(t), func(tx *eventdb.ExampleBasicTX) error { tx.Produce(event("a", "k")); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var prefixes string
	err := pool.QueryRowContext(testContext(t), "SELECT GROUP_CONCAT(DISTINCT prefix ORDER BY prefix) FROM events_key_locks WHERE n > 0").Scan(&prefixes)
	if err != nil || prefixes != ",locks." {
		t.Errorf("locks of the prefixes %q, %v", prefixes, err)
	}
}

// All connections of a pool are in transactions, which draw nevertheless.
func TestSmallPool(t *testing.T) {
	pool := tables(t)
	pool.SetMaxOpenConns(2)
	db := Wrap(pool)
	defer db.Close()
	db.AugmentWithProducer(newProducer())
	for range 3 {
		if err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event("a", "k")); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := db.MaxConnections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestFaultsOfSingleStore(t *testing.T) {
	for number, fault := range map[uint16]eventmodels.Fault{
		1205: eventmodels.FaultConflict, 1735: eventmodels.FaultAway, 1777: eventmodels.FaultAway, 1712: eventmodels.FaultAway,
		1040: eventmodels.FaultAway, 1062: eventmodels.FaultEvent,
	} {
		err := &mysql.MySQLError{Number: number}
		if got := (dialect{}).Fault(err); got != fault {
			t.Errorf("%d: %v", number, got)
		}
		if got := (dialect{}).CommitRefused(err); got == away[number] {
			t.Errorf("%d at COMMIT: refused %v", number, got)
		}
	}
}

func TestWithoutTables(t *testing.T) {
	dsn, _ := emptyDatabase(t)
	db, err := Open(testContext(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.AugmentWithProducer(newProducer())
	err = db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event("a", "k")); return nil })
	if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "events2.Migrate") {
		t.Errorf("tx.Produce: %v", err)
	}
	if _, err := db.OpenOutbox(testContext(t)); !errors.Is(err, ErrSchema) {
		t.Errorf("OpenOutbox: %v", err)
	}
	if err := CheckSchema(testContext(t), db.Unwrap().DB); !errors.Is(err, ErrSchema) {
		t.Errorf("CheckSchema: %v", err)
	}
	for name, wrap := range map[string]func(){
		"nil":         func() { Wrap(nil) },
		"WithMigrate": func() { New[*Tx](db.Unwrap(), "", WithMigrate()) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			wrap()
		}()
	}
	var typed *TransactionTypeError
	if err := db.ProduceTx(testContext(t), db, event("a", "k")); !errors.As(err, &typed) {
		t.Errorf("ProduceTx: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.Transact(ctx, func(*Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
