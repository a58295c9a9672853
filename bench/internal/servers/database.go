package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// Database creates a database, drops it in the cleanup, and returns how to
// connect to it.
func (s *Servers) Database(ctx context.Context, c *compare.Cleanup, what string) (dsn string, err error) {
	name := s.Name(what)
	if err := s.execute(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	c.Defer(func(ctx context.Context) error {
		if err := s.execute(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop database %s: %w", name, err)
		}
		return nil
	})
	return withDatabase(s.DSN, name)
}

// insufficientPrivilege is an SQLSTATE (PostgreSQL's manual, appendix A).
const insufficientPrivilege = "42501"

// Checkpoint has PostgreSQL write to the disk what it has not yet, so that no
// trial pays for what filled its tables. It does nothing for a user who may not.
func (s *Servers) Checkpoint(ctx context.Context) error {
	err := s.execute(ctx, "CHECKPOINT")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == insufficientPrivilege {
		return nil
	}
	return err
}

func (s *Servers) execute(ctx context.Context, statement string) (err error) {
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// withDatabase returns the connection string of another database of the same
// server.
func withDatabase(dsn, name string) (string, error) {
	if !strings.Contains(dsn, "://") {
		return dsn + " dbname=" + name, nil // of two, the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("EVENTS_POSTGRES_DSN is not a URL") // the error would quote the password
	}
	u.Path = "/" + name
	return u.String(), nil
}
