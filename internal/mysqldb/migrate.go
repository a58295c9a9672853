package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/seed46dd6f11/events/internal/migration"
)

// A Migration is the schema of a backend.
type Migration struct {
	// Schema has the files, whose names begin with their number. Statements
	// end with a semicolon at the end of a line, and can be repeated (that a
	// column is there already is no error): a
	// server of this kind commits before and after each of them, so that what
	// was begun is not undone when the process ends in the middle.
	Schema fs.FS
	// VersionTable is the statement that makes events_schema (version,
	// applied_at) if it is not there.
	VersionTable string
	// Lock takes, on a connection of its own, a lock that one process at a
	// time has; Unlock gives it back. The end of the connection does, too. nil:
	// what several processes do at once does no harm.
	Lock, Unlock func(ctx context.Context, conn *sql.Conn) error
}

// Run brings the tables up to date. It needs no rights where they are.
func (m Migration) Run(ctx context.Context, db *sql.DB) error {
	steps, err := migration.Steps(m.Schema)
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	if done, err := upToDate(ctx, conn, steps); err != nil || done {
		return errors.Join(err, conn.Close())
	}
	if err := m.locked(ctx, conn, func() error { return m.apply(ctx, conn, steps) }); err != nil {
		Discard(conn) // it may have the lock
		return err
	}
	return conn.Close()
}

func (m Migration) locked(ctx context.Context, conn *sql.Conn, apply func() error) error {
	if m.Lock == nil {
		return apply()
	}
	if err := m.Lock(ctx, conn); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	return errors.Join(apply(), m.Unlock(ctx, conn))
}

func upToDate(ctx context.Context, conn *sql.Conn, steps []migration.Step) (bool, error) {
	version, err := appliedVersion(ctx, conn)
	if Number(err) == NumNoTable {
		return false, nil
	}
	return err == nil && len(migration.After(version, steps)) == 0, err
}

func appliedVersion(ctx context.Context, conn *sql.Conn) (version int, err error) {
	err = conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM events_schema`).Scan(&version)
	return version, err
}

func (m Migration) apply(ctx context.Context, conn *sql.Conn, steps []migration.Step) error {
	if _, err := conn.ExecContext(ctx, m.VersionTable); err != nil {
		return fmt.Errorf("create the table events_schema: %w", err)
	}
	applied, err := appliedVersion(ctx, conn)
	if err != nil {
		return err
	}
	for _, step := range migration.After(applied, steps) {
		for _, statement := range Statements(step.SQL) {
			// A column that is there already was added by another process, or
			// by one that was cut short.
			if _, err := conn.ExecContext(ctx, statement); err != nil && Number(err) != NumDuplicateColumn {
				return fmt.Errorf("apply %s: %w", step.Name, err)
			}
		}
		if _, err := conn.ExecContext(ctx, `INSERT IGNORE INTO events_schema (version, applied_at) VALUES (?, CURRENT_TIMESTAMP())`, step.Version); err != nil {
			return fmt.Errorf("record %s: %w", step.Name, err)
		}
	}
	return nil
}

// Statements splits a file of the schema.
func Statements(file string) (statements []string) {
	for _, statement := range strings.Split(file, ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, strings.TrimSuffix(statement, ";"))
		}
	}
	return statements
}
