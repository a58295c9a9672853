package eventsqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// CheckSchema says whether the library's tables are there: [ErrSchema] if some
// are missing. The relay checks the same when it starts.
func CheckSchema(ctx context.Context, db *sql.DB) error {
	var (
		tables  int
		main    string
		current bool
	)
	err := whileBusy(ctx, func() error {
		return db.QueryRowContext(ctx, `SELECT count(*), (SELECT file FROM pragma_database_list WHERE name = 'main'),
				EXISTS (SELECT 1 FROM pragma_table_info('events_lease') WHERE name = 'done_to')
			FROM sqlite_schema WHERE type = 'table'
			AND name IN ('events_outbox', 'events_outbox_parked', 'events_lease', 'events_marks')`).Scan(&tables, &main, &current)
	})
	if err != nil {
		return fmt.Errorf("check the tables of the events library: %w", err)
	}
	if tables < 4 {
		return fmt.Errorf("%w: the file %s has %d of 4", ErrSchema, main, tables)
	}
	if !current {
		return fmt.Errorf("%w: in the file %s events_lease has no column done_to", ErrSchema, main)
	}
	return nil
}
