package eventsqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/migration"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema has the SQL that [Migrate] runs, for other migration tools: files
// whose names begin with their number, each to be applied once, in this order.
// Applied without Migrate, record their numbers in the table events_schema, if
// Migrate is ever to run later.
var Schema, _ = fs.Sub(migrations, "migrations") // fails for illegal names only

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
	steps, err := migration.Steps(Schema)
	if err != nil {
		return err
	}
	if applied, err := appliedVersion(ctx, pool); err != nil || len(migration.After(applied, steps)) == 0 {
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
func apply(ctx context.Context, tx *Tx, steps []migration.Step) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS events_schema (version INTEGER NOT NULL PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`)
	if err != nil {
		return fmt.Errorf("create the table events_schema: %w", err)
	}
	applied, err := appliedVersion(ctx, tx)
	if err != nil {
		return err
	}
	for _, step := range migration.After(applied, steps) {
		if _, err := tx.ExecContext(ctx, step.SQL); err != nil {
			return fmt.Errorf("apply %s: %w", step.Name, explainExisting(err))
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO events_schema (version, applied_at) VALUES (?, ?)`, step.Version, micros(time.Now())); err != nil {
			return fmt.Errorf("record %s: %w", step.Name, err)
		}
	}
	return nil
}

// explainExisting says what to do where the tables are there already.
func explainExisting(err error) error {
	if text := err.Error(); strings.Contains(text, "already exists") || strings.Contains(text, "duplicate column") {
		return fmt.Errorf("%w; if another migration tool has applied it, do without Migrate, or record its number in a table events_schema first", err)
	}
	return err
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
