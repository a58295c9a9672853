package eventpg

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed46dd6f11/events/internal/migration"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema has the SQL that [Migrate] runs, for other migration tools: files
// whose names begin with their number, to be applied once each and in this
// order. Applied without Migrate, record their numbers in the table
// events_schema, if Migrate is ever to run later.
var Schema, _ = fs.Sub(migrations, "migrations") // fails for illegal names only

// migrationLock is the advisory lock that one migration at a time holds, for
// the whole database. The number means nothing.
const migrationLock = 7305804385369122001

// versionTable remembers what has been applied.
const versionTable = `
CREATE TABLE IF NOT EXISTS events_schema (
    version    integer     NOT NULL PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)`

// Migrate creates the library's tables, or brings them up to date, in the
// first schema of the connection's search_path. It is idempotent, and every
// instance of a service may run it at its start, all at once: one does the
// work in one transaction, the others wait for it. Where there is nothing to
// do it needs no right to create tables.
//
// Tables that are newer than this version of the library are left alone.
func Migrate(ctx context.Context, db *sql.DB) error {
	if err := migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate the tables of the events library: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := migration.Steps(Schema)
	if err != nil {
		return err
	}
	if done, err := upToDate(ctx, db, steps); err != nil || done {
		return err
	}
	// READ COMMITTED: the snapshot after the wait for the lock, and not the
	// one before it, has to show what the others did.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	if err := applySteps(ctx, tx, steps); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// upToDate looks without a lock.
func upToDate(ctx context.Context, db *sql.DB, steps []migration.Step) (bool, error) {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('events_schema') IS NOT NULL`).Scan(&exists); err != nil || !exists {
		return false, err
	}
	var version int
	err := db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM events_schema`).Scan(&version)
	return err == nil && len(migration.After(version, steps)) == 0, err
}

func applySteps(ctx context.Context, tx *sql.Tx, steps []migration.Step) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	if _, err := tx.ExecContext(ctx, versionTable); err != nil {
		return fmt.Errorf("create the table events_schema: %w", err)
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM events_schema`).Scan(&version); err != nil {
		return err
	}
	for _, step := range migration.After(version, steps) {
		if _, err := tx.ExecContext(ctx, step.SQL); err != nil {
			return fmt.Errorf("apply %s: %w", step.Name, explainExisting(err))
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO events_schema (version) VALUES ($1)`, step.Version); err != nil {
			return fmt.Errorf("record %s: %w", step.Name, err)
		}
	}
	return nil
}

// explainExisting says what to do where the tables are there already.
func explainExisting(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == codeDuplicateTable || answer.Code == codeDuplicateColumn) {
		return fmt.Errorf("%w; if another migration tool has applied it, do without Migrate, or record its number in a table events_schema first", err)
	}
	return err
}

// ignoreDone drops the error of a rollback of what has ended by itself.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
