package storetest

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/seed46dd6f11/events/internal/migration"
)

func (b *Backend[ID, T, D, O]) migrateByAllInstancesAtOnce(t *testing.T) {
	dsn := b.Empty(t)
	var instances errgroup.Group
	for range 20 {
		pool := b.Pool(t, dsn)
		instances.Go(func() error { return b.Migrate(Context(t), pool) })
	}
	if err := instances.Wait(); err != nil {
		t.Fatal(err)
	}
	pool := b.Pool(t, dsn)
	if err := b.CheckSchema(Context(t), pool); err != nil {
		t.Fatal(err)
	}
	if err := b.Migrate(Context(t), pool); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	steps, err := migration.Steps(b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		if s.Version != i+1 {
			t.Errorf("%s is the file number %d", s.Name, i+1)
		}
	}
	var n int
	if err := pool.QueryRowContext(Context(t), "SELECT count(*) FROM events_schema").Scan(&n); err != nil || n != len(steps) {
		t.Fatalf("%d versions are recorded (%v), and there are %d", n, err, len(steps))
	}
}

func (b *Backend[ID, T, D, O]) migrateNeedsNoRights(t *testing.T) {
	dsn := b.Empty(t)
	if err := b.Migrate(Context(t), b.Pool(t, dsn)); err != nil {
		t.Fatal(err)
	}
	if err := b.Migrate(Context(t), b.ReadOnly(t, dsn)); err != nil {
		t.Fatalf("in a session that cannot write: %v", err)
	}
}

func (b *Backend[ID, T, D, O]) migrateEndsWithItsContext(t *testing.T) {
	pool := b.Pool(t, b.Empty(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Migrate(ctx, pool); !errors.Is(err, context.Canceled) {
		t.Fatalf("error: %v", err)
	}
}

func (b *Backend[ID, T, D, O]) checkSchema(t *testing.T) {
	pool := b.Pool(t, b.Empty(t))
	if err := b.CheckSchema(Context(t), pool); !errors.Is(err, b.ErrSchema) {
		t.Fatalf("no tables: %v", err)
	}
	if err := b.Migrate(Context(t), pool); err != nil {
		t.Fatal(err)
	}
	if err := b.CheckSchema(Context(t), pool); err != nil {
		t.Fatal(err)
	}
	MustExec(t, pool, "DROP TABLE events_marks")
	if err := b.CheckSchema(Context(t), pool); !errors.Is(err, b.ErrSchema) {
		t.Fatalf("a table is missing: %v", err)
	}
}
