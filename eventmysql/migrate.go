package eventmysql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/seed46dd6f11/events/internal/mysqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema has the SQL that [Migrate] runs, for other migration tools: files
// whose names begin with their number, to be applied in this order. Applied
// without Migrate, record their numbers in the table events_schema, if Migrate
// is ever to run later.
var Schema, _ = fs.Sub(migrations, "migrations") // fails for illegal names only

// Migrate creates the library's tables, or brings them up to date, in the
// database of the connection. It is idempotent, and every instance of a
// service may run it at its start, all at once: one does the work, the others
// wait for it (with GET_LOCK). Where there is nothing to do it needs no right
// to create tables.
//
// The server commits after every statement that defines something: a Migrate
// that was cut short is completed by the next one. Tables that are newer than
// this version of the library are left alone.
func Migrate(ctx context.Context, db *sql.DB) error {
	if err := migration.Run(ctx, db); err != nil {
		return fmt.Errorf("migrate the tables of the events library: %w", err)
	}
	return nil
}

// The lock is the server's: its name has the database's in it, hashed, since
// it may have 64 characters.
var migration = mysqldb.Migration{
	Schema: Schema,
	VersionTable: `CREATE TABLE IF NOT EXISTS events_schema (
		version    int       NOT NULL PRIMARY KEY,
		applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
	) ENGINE = InnoDB`,
	Lock: func(ctx context.Context, conn *sql.Conn) error {
		for {
			var got sql.NullInt64
			err := conn.QueryRowContext(ctx, `SELECT GET_LOCK(CONCAT('events_schema ', MD5(DATABASE())), 10)`).Scan(&got)
			switch {
			case err != nil || got.Int64 == 1:
				return err
			case !got.Valid:
				return errors.New("the server gives no lock")
			}
		}
	},
	Unlock: func(ctx context.Context, conn *sql.Conn) error {
		var released sql.NullInt64
		err := conn.QueryRowContext(ctx, `SELECT RELEASE_LOCK(CONCAT('events_schema ', MD5(DATABASE())))`).Scan(&released)
		if err == nil && released.Int64 != 1 {
			err = errors.New("another connection has had the lock")
		}
		return err
	},
}
