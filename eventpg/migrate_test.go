package eventpg

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/seed46dd6f11/events/internal/migration"
)

// Tables of an older version are told from those that are missing nothing, and
// brought up to date.
func TestMigrateOlderTables(t *testing.T) {
	dsn := emptySchema(t)
	pool := rawPool(t, dsn)
	first, err := fs.ReadFile(Schema, "001_outbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, pool, versionTable)
	mustExec(t, pool, string(first))
	mustExec(t, pool, "INSERT INTO events_schema (version) VALUES (1)")
	mustExec(t, pool, "INSERT INTO events_lease VALUES ($1, 'a', 5, 4711, $2, now())", scope, cluster)
	if err := CheckSchema(testContext(t), pool); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "done_to") {
		t.Errorf("before: %v", err)
	}
	if err := Migrate(testContext(t), pool); err != nil {
		t.Fatal(err)
	}
	if err := CheckSchema(testContext(t), pool); err != nil {
		t.Error(err)
	}
	var doneTo int64
	if err := pool.QueryRowContext(testContext(t), "SELECT done_to FROM events_lease WHERE epoch = 5").Scan(&doneTo); err != nil || doneTo != 0 {
		t.Errorf("%d, %v", doneTo, err)
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

// What other tools apply is good for the relay, and for Migrate once it is
// recorded as docs/databases.md says.
func TestSchemaForOtherTools(t *testing.T) {
	pool := rawPool(t, emptySchema(t))
	steps, err := migration.Steps(Schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		mustExec(t, pool, "BEGIN; "+step.SQL+"COMMIT")
	}
	if err := CheckSchema(testContext(t), pool); err != nil {
		t.Error(err)
	}
	if err := Migrate(testContext(t), pool); err == nil || !strings.Contains(err.Error(), "record its number") {
		t.Errorf("before they are recorded: %v", err)
	}
	mustExec(t, pool, "CREATE TABLE events_schema (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()); INSERT INTO events_schema (version) VALUES (1), (2)")
	if err := Migrate(testContext(t), pool); err != nil {
		t.Error(err)
	}
}

func TestSequenceCache(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "ALTER TABLE events_outbox ALTER COLUMN seq SET CACHE 20")
	_, err := f.OpenOutbox(testContext(t))
	var cache *SequenceCacheError
	if !errors.As(err, &cache) || cache.Cache != 20 {
		t.Fatalf("a cache of 20: %v", err)
	}
	mustExec(t, f.Admin, "ALTER TABLE events_outbox ALTER COLUMN seq SET CACHE 1 SET INCREMENT 1") // as the error says
	if err := CheckSchema(testContext(t), f.Admin); err != nil {
		t.Fatal(err)
	}
}
