package events2

import (
	"context"
	"database/sql"
	"embed"
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
// service may run it at its start, all at once: each statement does nothing
// where another instance was first. Tables that are newer than this version of
// the library are left alone.
func Migrate(ctx context.Context, db *sql.DB) error {
	if err := migration.Run(ctx, db); err != nil {
		return fmt.Errorf("migrate the tables of the events library: %w", err)
	}
	return nil
}

var migration = mysqldb.Migration{
	Schema: Schema,
	VersionTable: `CREATE ROWSTORE TABLE IF NOT EXISTS events_schema (
		version    int       NOT NULL PRIMARY KEY,
		applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
	)`,
}
