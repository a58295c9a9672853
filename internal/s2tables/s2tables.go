// Package s2tables makes the tables of events2 on a server that is not
// SingleStore, for tests of its statements where there is none.
package s2tables

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// own is what MySQL and MariaDB do not know of SingleStore's definitions.
var own = regexp.MustCompile(`(?m)ROWSTORE |,\s*SHARD KEY \([^)]*\)|,\s*SORT KEY \([^)]*\)| USING HASH`)

// comments may have anything in them.
var comments = regexp.MustCompile(`(?m)\s*--.*$`)

// Plain returns a statement without what only SingleStore knows: how rows are
// stored and spread.
func Plain(statement string) string {
	return own.ReplaceAllString(comments.ReplaceAllString(statement, ""), "")
}

// Create makes the tables of schema.
func Create(ctx context.Context, db *sql.DB, schema fs.FS) error {
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		return err
	}
	for _, name := range names { // in the order of their numbers
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			return err
		}
		for _, statement := range mysqldb.Statements(string(text)) {
			if _, err := db.ExecContext(ctx, Plain(statement)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}
