package storetest

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/eventdb"
)

// Services may bring types of their own.
func (b *Backend[ID, T, D, O]) ownTypes(t *testing.T) {
	d := b.NewDatabase(t)
	ctx := Context(t)
	t.Run("DatabaseSQL", func(t *testing.T) {
		db := b.New.SQL(d.Pool)
		defer db.Close()
		db.AugmentWithProducer(&Producer[ID]{})
		err := db.Transact(ctx, func(tx *sql.Tx) error { return db.ProduceTx(ctx, tx, Event("a", "k", nil)) })
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("ExampleOfEventdb", func(t *testing.T) {
		db := b.New.Example(eventdb.ExampleBasicDB{DB: d.Pool})
		defer db.Close()
		db.AugmentWithProducer(&Producer[ID]{})
		if err := db.Transact(ctx, func(tx *eventdb.ExampleBasicTX) error { tx.Produce(Event("b", "k", nil)); return nil }); err != nil {
			t.Fatal(err)
		}
		s, err := db.OpenOutbox(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		d.Pool.SetMaxOpenConns(b.New.Kept + 7)
		defer d.Pool.SetMaxOpenConns(0)
		if n := db.MaxConnections(); n != 7 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("WithoutConn", func(t *testing.T) {
		db := b.New.Bare(BareDB{d.Pool})
		if _, err := db.OpenOutbox(ctx); err == nil || !strings.Contains(err.Error(), "BareDB") {
			t.Errorf("error: %v", err)
		}
		if n := db.MaxConnections(); n != 0 {
			t.Errorf("%d connections", n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if n := d.Count(t, "events_outbox"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// BareDB has what eventdb.BasicDB asks for, and no more.
type BareDB struct{ db *sql.DB }

// ExecContext implements [eventdb.BasicDB].
func (d BareDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.db.ExecContext(ctx, query, args...)
}

// QueryContext implements [eventdb.BasicDB].
func (d BareDB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.db.QueryContext(ctx, query, args...)
}

// QueryRowContext implements [eventdb.BasicDB].
func (d BareDB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return d.db.QueryRowContext(ctx, query, args...)
}

// BeginTx implements [eventdb.BasicDB].
func (d BareDB) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	return d.db.BeginTx(ctx, opts)
}
