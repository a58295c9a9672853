package eventpg

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestMigrateByAllInstancesAtOnce(t *testing.T) {
	dsn := emptySchema(t)
	var instances errgroup.Group
	for range 20 {
		pool := rawPool(t, dsn)
		instances.Go(func() error { return Migrate(testContext(t), pool) })
	}
	if err := instances.Wait(); err != nil {
		t.Fatal(err)
	}
	pool := rawPool(t, dsn)
	if err := CheckSchema(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(testContext(t), pool); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	steps, err := readSteps(Schema)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := pool.QueryRowContext(testContext(t), "SELECT count(*) FROM events_schema").Scan(&n); err != nil || n != len(steps) {
		t.Fatalf("%d versions are recorded (%v), and there are %d", n, err, len(steps))
	}
}

// A database whose transactions see the snapshot of their first statement
// would not see what the others did while it waited for the lock.
func TestMigrateWhereSerializableIsTheDefault(t *testing.T) {
	dsn := withParams(emptySchema(t), "default_transaction_isolation=serializable")
	var instances errgroup.Group
	for range 8 {
		pool := rawPool(t, dsn)
		instances.Go(func() error { return Migrate(testContext(t), pool) })
	}
	if err := instances.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestMigrateNeedsNoRightsWhereThereIsNothingToDo(t *testing.T) {
	dsn := emptySchema(t)
	if err := Migrate(testContext(t), rawPool(t, dsn)); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(testContext(t), rawPool(t, withParams(dsn, "default_transaction_read_only=on"))); err != nil {
		t.Fatalf("in a session that cannot write: %v", err)
	}
}

func TestMigrateRollsBackAsAWhole(t *testing.T) {
	pool := rawPool(t, emptySchema(t))
	mustExec(t, pool, "CREATE VIEW events_marks AS SELECT 1 AS one") // in the way of a later statement
	if err := Migrate(testContext(t), pool); err == nil {
		t.Fatal("no error")
	}
	var exists bool
	if err := pool.QueryRowContext(testContext(t), "SELECT to_regclass('events_outbox') IS NOT NULL").Scan(&exists); err != nil || exists {
		t.Fatalf("events_outbox exists: %v (%v)", exists, err)
	}
	mustExec(t, pool, "DROP VIEW events_marks")
	if err := Migrate(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
}

func TestMigrateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Migrate(ctx, rawPool(t, emptySchema(t))); !errors.Is(err, context.Canceled) {
		t.Fatalf("error: %v", err)
	}
}

func TestSchemaFiles(t *testing.T) {
	names, err := fs.Glob(Schema, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("files %v, %v", names, err)
	}
	steps, err := readSteps(Schema)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		if s.version != i+1 {
			t.Errorf("%s is the file number %d", s.name, i+1)
		}
	}
}

func TestCheckSchema(t *testing.T) {
	pool := rawPool(t, emptySchema(t))
	if err := CheckSchema(testContext(t), pool); !errors.Is(err, ErrSchema) {
		t.Fatalf("no tables: %v", err)
	}
	if err := Migrate(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
	mustExec(t, pool, "ALTER TABLE events_outbox ALTER COLUMN seq SET CACHE 20")
	db := Wrap(pool)
	_, err := db.OpenOutbox(testContext(t))
	var cache *SequenceCacheError
	if !errors.As(err, &cache) || cache.Cache != 20 {
		t.Fatalf("a cache of 20: %v", err)
	}
	mustExec(t, pool, "ALTER TABLE events_outbox ALTER COLUMN seq SET CACHE 1 SET INCREMENT 1") // as the error says
	if err := CheckSchema(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
	mustExec(t, pool, "DROP TABLE events_marks")
	if err := CheckSchema(testContext(t), pool); !errors.Is(err, ErrSchema) {
		t.Fatalf("a table is missing: %v", err)
	}
}
