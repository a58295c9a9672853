package eventpg

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema has the SQL that [Migrate] runs, for other migration tools: files
// whose names begin with their number, to be applied once each and in this
// order. Applied without Migrate, record their numbers in the table
// events_schema, if Migrate is ever to run later.
var Schema = mustSub(migrations, "migrations")

func mustSub(files fs.FS, folder string) fs.FS {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return sub
}

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
	steps, err := readSteps(Schema)
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
func upToDate(ctx context.Context, db *sql.DB, steps []step) (bool, error) {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('events_schema') IS NOT NULL`).Scan(&exists); err != nil || !exists {
		return false, err
	}
	var version int
	err := db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM events_schema`).Scan(&version)
	return err == nil && version >= steps[len(steps)-1].version, err
}

func applySteps(ctx context.Context, tx *sql.Tx, steps []step) error {
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
	for _, s := range steps {
		if s.version <= version {
			continue
		}
		if _, err := tx.ExecContext(ctx, s.sql); err != nil {
			return fmt.Errorf("apply %s: %w", s.name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO events_schema (version) VALUES ($1)`, s.version); err != nil {
			return fmt.Errorf("record %s: %w", s.name, err)
		}
	}
	return nil
}

// A step is a file of the schema.
type step struct {
	version int
	name    string
	sql     string
}

func readSteps(schema fs.FS) ([]step, error) {
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("the name of %s does not begin with a number", name)
		}
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{version, name, string(text)})
	}
	slices.SortFunc(steps, func(a, b step) int { return a.version - b.version })
	return steps, nil
}

// ignoreDone drops the error of a rollback of what has ended by itself.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
