package eventsqlite

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Schema has the SQL that [Migrate] runs, for other migration tools: files
// whose names begin with their number, each to be applied once, in this order.
// Applied without Migrate, record their numbers in the table events_schema, if
// Migrate is ever to run later.
var Schema, _ = fs.Sub(migrationFiles, "migrations") // fails for illegal names only

// Migrate creates the library's tables, or brings them up to date. It is
// idempotent, and every instance of a service may run it at its start, all at
// once: one does the work in one transaction, the others wait for it. Tables
// that are newer than this version of the library are left alone.
func Migrate(ctx context.Context, db *sql.DB) error {
	if err := migrate(ctx, &Pool{DB: db}); err != nil {
		return fmt.Errorf("migrate the tables of the events library: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, pool *Pool) error {
	steps, err := migrations(Schema)
	if err != nil {
		return err
	}
	newest := steps[len(steps)-1].version
	if applied, err := appliedVersion(ctx, pool); err != nil || applied >= newest {
		return err
	}
	// In a file that is not in WAL mode a reader can keep COMMIT from taking
	// effect.
	return whileBusy(ctx, func() error {
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := apply(ctx, tx, steps); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// apply runs in a transaction that has the write lock: what another process
// has applied by then is seen.
func apply(ctx context.Context, tx *Tx, steps []migration) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS events_schema (version INTEGER NOT NULL PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`)
	if err != nil {
		return fmt.Errorf("create the table events_schema: %w", err)
	}
	applied, err := appliedVersion(ctx, tx)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.version <= applied {
			continue
		}
		if _, err := tx.ExecContext(ctx, step.sql); err != nil {
			return fmt.Errorf("apply %s: %w", step.name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO events_schema (version, applied_at) VALUES (?, ?)`, step.version, micros(time.Now())); err != nil {
			return fmt.Errorf("record %s: %w", step.name, err)
		}
	}
	return nil
}

// appliedVersion is 0 where there is no table events_schema.
func appliedVersion(ctx context.Context, db rowQueryer) (version int, err error) {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'events_schema')`).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM events_schema`).Scan(&version)
	return version, err
}

// A migration is a file of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations returns those of schema in their order.
func migrations(schema fs.FS) ([]migration, error) {
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		return nil, err
	}
	steps := make([]migration, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("the name of %s does not begin with a number", name)
		}
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			return nil, err
		}
		steps[i] = migration{version, name, string(text)}
	}
	slices.SortFunc(steps, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	return steps, nil
}
