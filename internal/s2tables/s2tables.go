// Package s2tables makes the tables of events2 on a server that is not
// SingleStore, for tests of its statements where there is none.
package s2tables

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/seed46dd6f11/events/internal/migration"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// own is what MySQL and MariaDB do not know of SingleStore's definitions.
var own = regexp.MustCompile(`(?m)ROWSTORE |,\s*SHARD KEY \([^)]*\)|,\s*SORT KEY \([^)]*\)| USING HASH`)

// comments may have anything in them.
var comments = regexp.MustCompile(`(?m)\s*--.*$`)

// plain returns a statement without what only SingleStore knows: how rows are
// stored and spread.
func plain(statement string) string {
	return own.ReplaceAllString(comments.ReplaceAllString(statement, ""), "")
}

// versions is what Migrate of events2 records in.
const versions = `CREATE TABLE events_schema (version int NOT NULL PRIMARY KEY, applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)`

// Create makes the tables of schema, and records it, so that Migrate has nothing
// to do.
func Create(ctx context.Context, db *sql.DB, schema fs.FS) error {
	steps, err := migration.Steps(schema)
	if err != nil {
		return err
	}
	for _, statement := range []string{`ALTER DATABASE CHARACTER SET utf8mb4`, versions} { // SingleStore's texts are Unicode by default
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, step := range steps {
		for _, statement := range mysqldb.Statements(step.SQL) {
			if _, err := db.ExecContext(ctx, plain(statement)); err != nil {
				return fmt.Errorf("%s: %w", step.Name, err)
			}
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO events_schema (version) VALUES (?)`, step.Version); err != nil {
			return fmt.Errorf("%s: %w", step.Name, err)
		}
	}
	return nil
}
