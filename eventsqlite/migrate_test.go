package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

func openRaw(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestMigrateFromManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var migrating sync.WaitGroup
	for i := range 20 {
		migrating.Go(func() {
			if i%2 == 0 {
				openAt(t, path)
				return
			}
			if err := Migrate(context.Background(), openRaw(t, path)); err != nil {
				t.Error(err)
			}
		})
	}
	migrating.Wait()
	db := openRaw(t, path)
	if err := CheckSchema(context.Background(), db); err != nil {
		t.Error(err)
	}
	if n := value[int](t, db, `SELECT count(*) FROM events_schema`); n != 2 {
		t.Errorf("%d migrations were recorded", n)
	}
}

func TestMigrateAgain(t *testing.T) {
	ctx := context.Background()
	db := openTest(t)
	produce(t, db, event("a", "1"))
	for range 2 {
		if err := Migrate(ctx, db.Unwrap().DB); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing to do needs no lock.
	transact(t, db, func(*Tx) error { return Migrate(ctx, db.Unwrap().DB) })
	// Newer tables are left alone.
	mustExec(t, db.Unwrap(), `INSERT INTO events_schema VALUES (1000, 0)`)
	if err := Migrate(ctx, db.Unwrap().DB); err != nil {
		t.Error(err)
	}
	if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM events_outbox`); n != 1 {
		t.Errorf("%d events are left", n)
	}
}

// What other tools apply is good for the relay, and for Migrate once it is
// recorded.
func TestSchemaForOtherTools(t *testing.T) {
	ctx := context.Background()
	if err := fstest.TestFS(Schema, "001_outbox.sql"); err != nil {
		t.Error(err)
	}
	raw := openRaw(t, filepath.Join(t.TempDir(), "test.db"))
	err := fs.WalkDir(Schema, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(Schema, path)
		mustExec(t, raw, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	openTestStore(t, Wrap(raw))
	if err := Migrate(ctx, raw); err == nil || !strings.Contains(err.Error(), "001_outbox.sql") || !strings.Contains(err.Error(), "record its number") {
		t.Error(err)
	}
	mustExec(t, raw, `CREATE TABLE events_schema (version INTEGER PRIMARY KEY, applied_at INTEGER); INSERT INTO events_schema VALUES (1, 0), (2, 0)`)
	if err := Migrate(ctx, raw); err != nil {
		t.Error(err)
	}
}

func TestMigrateIsAllOrNothing(t *testing.T) {
	ctx := context.Background()
	raw := openRaw(t, filepath.Join(t.TempDir(), "test.db"))
	mustExec(t, raw, `CREATE TABLE events_marks (mine TEXT)`)
	if err := Migrate(ctx, raw); err == nil {
		t.Error("no error")
	}
	if n := value[int](t, raw, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'events%'`); n != 1 {
		t.Errorf("%d tables", n)
	}
	if err := CheckSchema(ctx, raw); !errors.Is(err, ErrSchema) {
		t.Error(err)
	}
	mustExec(t, raw, `DROP TABLE events_marks`)
	if err := Migrate(ctx, raw); err != nil {
		t.Error(err)
	}
}
