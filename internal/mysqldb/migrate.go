package mysqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
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
	steps, err := readSteps(m.Schema)
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

func upToDate(ctx context.Context, conn *sql.Conn, steps []step) (bool, error) {
	version, err := appliedVersion(ctx, conn)
	if Number(err) == NumNoTable {
		return false, nil
	}
	return err == nil && version >= steps[len(steps)-1].version, err
}

func appliedVersion(ctx context.Context, conn *sql.Conn) (version int, err error) {
	err = conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM events_schema`).Scan(&version)
	return version, err
}

func (m Migration) apply(ctx context.Context, conn *sql.Conn, steps []step) error {
	if _, err := conn.ExecContext(ctx, m.VersionTable); err != nil {
		return fmt.Errorf("create the table events_schema: %w", err)
	}
	applied, err := appliedVersion(ctx, conn)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.version <= applied {
			continue
		}
		for _, statement := range Statements(s.sql) {
			// A column that is there already was added by another process, or
			// by one that was cut short.
			if _, err := conn.ExecContext(ctx, statement); err != nil && Number(err) != NumDuplicateColumn {
				return fmt.Errorf("apply %s: %w", s.name, err)
			}
		}
		if _, err := conn.ExecContext(ctx, `INSERT IGNORE INTO events_schema (version, applied_at) VALUES (?, CURRENT_TIMESTAMP())`, s.version); err != nil {
			return fmt.Errorf("record %s: %w", s.name, err)
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
	steps := make([]step, len(names))
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
		steps[i] = step{version, name, string(text)}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.version, b.version) })
	return steps, nil
}
