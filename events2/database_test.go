package events2

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Services may bring types of their own.
func TestOwnTypes(t *testing.T) {
	pool := rawPool(t, database(t))
	ctx := testContext(t)
	t.Run("database/sql", func(t *testing.T) {
		db := New[*sql.Tx](pool, "locks.")
		defer db.Close()
		db.AugmentWithProducer(fakeProducer{})
		err := db.Transact(ctx, func(tx *sql.Tx) error { return db.ProduceTx(ctx, tx, event{"a", "k"}) })
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("eventdb's example", func(t *testing.T) {
		db := New[*eventdb.ExampleBasicTX](eventdb.ExampleBasicDB{DB: pool}, "")
		defer db.Close()
		db.AugmentWithProducer(fakeProducer{})
		if err := db.Transact(ctx, func(tx *eventdb.ExampleBasicTX) error { tx.Produce(event{"b", "k"}); return nil }); err != nil {
			t.Fatal(err)
		}
		s, err := db.OpenOutbox(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		page, err := s.ReadOutbox(ctx, eventmodels.OutboxRead{Scope: scope, Limit: 10})
		if err != nil || len(page.Rows) != 2 || page.Rows[0].Seq != 1 || page.Rows[1].Seq != 2 {
			t.Errorf("%v, %v", page.Rows, err)
		}
	})
	var prefixes string
	if err := pool.QueryRowContext(ctx, "SELECT GROUP_CONCAT(DISTINCT prefix ORDER BY prefix) FROM events_key_locks WHERE n > 0").Scan(&prefixes); err != nil || prefixes != ",locks." {
		t.Errorf("locks of the prefixes %q, %v", prefixes, err)
	}
}

// All connections of a pool are in transactions, which draw nevertheless.
func TestSmallPool(t *testing.T) {
	pool := rawPool(t, database(t))
	pool.SetMaxOpenConns(2)
	db := Wrap(pool)
	defer db.Close()
	db.AugmentWithProducer(fakeProducer{})
	for range 3 {
		if err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k"}); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := db.MaxConnections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// Transactions with events of one key commit one after the other.
func TestKeysAreLocked(t *testing.T) {
	pool := rawPool(t, database(t))
	db := Wrap(pool)
	defer db.Close()
	db.AugmentWithProducer(fakeProducer{})
	first, err := pool.BeginTx(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.ProduceTx(testContext(t), first, event{"a", "k"}); err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 2)
	go func() {
		err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k"}); return nil })
		if err != nil {
			t.Error(err)
		}
		order <- "second"
	}()
	// Another key, and none, wait for nobody.
	for _, key := range []string{"another key", ""} {
		if err := db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", key}); return nil }); err != nil {
			t.Error(err)
		}
	}
	order <- "first"
	if err := first.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := <-order; got != "first" {
		t.Error("a transaction has not waited for the other one's key")
	}
	<-order
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
	db.AugmentWithProducer(fakeProducer{})
	err = db.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k"}); return nil })
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
	if err := db.ProduceTx(testContext(t), db, event{"a", "k"}); !errors.As(err, &typed) {
		t.Errorf("ProduceTx: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.Transact(ctx, func(*Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
