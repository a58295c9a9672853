package eventpg

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// minServer is the first version with xid8 and pg_current_snapshot.
const minServer = 13_00_00

// checkSchema looks at what the library needs. to_regclass is NULL for a table
// that is not in the search_path, or not visible to the user.
const checkSchema = `
SELECT current_setting('server_version_num')::integer,
       current_schemas(false)::text,
       coalesce((SELECT string_agg(t, ', ')
                 FROM unnest(ARRAY['events_outbox', 'events_outbox_parked', 'events_lease', 'events_marks']) AS t
                 WHERE to_regclass(t) IS NULL), ''),
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('events_lease') AND attname = 'done_to'),
       coalesce(q.seqcache, 1), coalesce(q.seqincrement, 1)
FROM (SELECT 1) AS one
LEFT JOIN pg_sequence AS q ON q.seqrelid = (
    SELECT d.objid FROM pg_depend AS d
    JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
      AND d.refobjid = to_regclass('events_outbox') AND a.attname = 'seq')`

// schemaFacts are the columns of checkSchema.
type schemaFacts struct {
	version          int64
	searched         string
	missing          string
	current          bool // the newest column is there
	cache, increment int64
}

func (f *schemaFacts) columns() []any {
	return []any{&f.version, &f.searched, &f.missing, &f.current, &f.cache, &f.increment}
}

func (f *schemaFacts) err() error {
	if f.version < minServer {
		return fmt.Errorf("the PostgreSQL server is of version %d.%d, and events needs 13 or later", f.version/10000, f.version%10000)
	}
	if f.missing != "" {
		return fmt.Errorf("%w: %s not found in the schemas %s", ErrSchema, f.missing, strings.Trim(f.searched, "{}"))
	}
	if !f.current {
		return fmt.Errorf("%w: events_lease has no column done_to", ErrSchema)
	}
	if f.cache != 1 || f.increment < 1 {
		return &SequenceCacheError{Cache: f.cache, Increment: f.increment}
	}
	return nil
}

// CheckSchema says what is wrong with the library's tables: [ErrSchema] if some
// are missing, a [*SequenceCacheError] if somebody has changed the sequence. The
// relay checks the same when it starts.
func CheckSchema(ctx context.Context, db *sql.DB) error {
	var facts schemaFacts
	if err := db.QueryRowContext(ctx, checkSchema).Scan(facts.columns()...); err != nil {
		return fmt.Errorf("check the tables of the events library: %w", err)
	}
	return facts.err()
}

// The settings with which commits do not last. synchronous_commit is the
// default of the relay's connections: those of the application, and single
// transactions, may have another.
const durability = `
SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', current_setting('synchronous_commit') <> 'off'`

// Concerns implements [eventmodels.OutboxStore].
func (s *store) Concerns(ctx context.Context) (concerns []string, err error) {
	var fsync, fullPages, waits bool
	err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, durability).Scan(&fsync, &fullPages, &waits)
	})
	if err != nil {
		return nil, err
	}
	if !fsync {
		concerns = append(concerns, "fsync is off: a crash of the machine can lose or damage everything; turn it on")
	}
	if !fullPages {
		concerns = append(concerns, "full_page_writes is off: a crash of the machine can damage tables; turn it on, unless the file system writes pages whole")
	}
	if !waits {
		concerns = append(concerns, "synchronous_commit is off: a crash can lose transactions that were reported as committed, with their events; turn it on")
	}
	return concerns, nil
}

func (s *store) check(ctx context.Context) error {
	return s.doLease(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var facts schemaFacts
		if err := conn.QueryRow(ctx, checkSchema).Scan(facts.columns()...); err != nil {
			return err
		}
		return facts.err()
	})
}
