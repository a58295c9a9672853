package events2

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const countTables = `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN
	('events_outbox', 'events_seqs', 'events_key_locks', 'events_outbox_parked', 'events_lease', 'events_marks')`

const tableCount = 6

const findColumn = `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'events_lease' AND column_name = 'done_to'`

// checkSchema is CheckSchema on a connection.
func checkSchema(ctx context.Context, conn *sql.Conn) error {
	var n int
	if err := conn.QueryRowContext(ctx, countTables).Scan(&n); err != nil {
		return err
	}
	if n < tableCount {
		return fmt.Errorf("%w: the database has %d of %d", ErrSchema, n, tableCount)
	}
	if err := conn.QueryRowContext(ctx, findColumn).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: events_lease has no column done_to", ErrSchema)
	}
	return nil
}

// CheckSchema says whether the library's tables are there: [ErrSchema] if some
// are missing. The relay checks the same when it starts.
func CheckSchema(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(checkSchema(ctx, conn), conn.Close())
	}
	if err != nil {
		return fmt.Errorf("check the tables of the events library: %w", err)
	}
	return nil
}
