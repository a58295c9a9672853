package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// facts are what the library needs to know about a server and a database.
type facts struct {
	version   string
	settings  map[string]string // global, by lower-case name
	increment string            // auto_increment_increment of the session
	engines   map[string]string // by table
	current   bool              // the newest column is there
}

// settingsQuery is SHOW, which passes over variables that the server's version
// has not got.
const settingsQuery = `SHOW GLOBAL VARIABLES WHERE Variable_name IN
	('auto_increment_increment', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog', 'binlog_format', 'max_allowed_packet')`

const tablesQuery = `SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN
	('events_outbox', 'events_outbox_parked', 'events_lease', 'events_marks', 'events_key_locks')`

// needed are the tables without which nothing works. A user has no need to see
// events_key_locks unless it takes locks, which then says what is missing.
var needed = []string{"events_outbox", "events_outbox_parked", "events_lease", "events_marks"}

const columnQuery = `SELECT COUNT(*) > 0 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'events_lease' AND column_name = 'done_to'`

func gather(ctx context.Context, conn *sql.Conn) (f facts, err error) {
	err = conn.QueryRowContext(ctx, `SELECT VERSION(), @@SESSION.auto_increment_increment`).Scan(&f.version, &f.increment)
	if err != nil {
		return f, err
	}
	if f.settings, err = pairs(ctx, conn, settingsQuery); err != nil {
		return f, err
	}
	if f.engines, err = pairs(ctx, conn, tablesQuery); err != nil {
		return f, err
	}
	err = conn.QueryRowContext(ctx, columnQuery).Scan(&f.current)
	return f, err
}

func pairs(ctx context.Context, conn *sql.Conn, query string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[string]string)
	for rows.Next() {
		var name string
		var value sql.NullString
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		found[strings.ToLower(name)] = value.String
	}
	return found, rows.Err()
}

// err says what the library cannot work with.
func (f *facts) err() error {
	if err := checkVersion(f.version); err != nil {
		return err
	}
	for _, table := range needed {
		if _, found := f.engines[table]; !found {
			return fmt.Errorf("%w: there is no %s that this user may see", ErrSchema, table)
		}
	}
	if !f.current {
		return fmt.Errorf("%w: events_lease has no column done_to", ErrSchema)
	}
	for table, engine := range f.engines {
		if !strings.EqualFold(engine, "InnoDB") {
			return &ServerError{Setting: table, Value: engine, Need: "the library's tables must be of the engine InnoDB, others have no transactions"}
		}
	}
	for _, increment := range []string{f.increment, f.settings["auto_increment_increment"]} {
		if increment != "1" {
			return &ServerError{Setting: "auto_increment_increment", Value: increment,
				Need: "it must be 1, or every number that is passed over would look like an event that is still to come. " +
					"Servers that share the work of one database set it; the library needs all writes at one of them"}
		}
	}
	if f.settings["log_bin"] == "ON" && f.settings["binlog_format"] == "STATEMENT" {
		return &ServerError{Setting: "binlog_format", Value: "STATEMENT", Need: "it must be ROW or MIXED, or the server refuses transactions that are READ COMMITTED"}
	}
	return nil
}

// concerns are settings with which a promise does not hold after a crash.
func (f *facts) concerns() (concerns []string) {
	// 3, which MariaDB has, waits for the disk as 1 does, and once more.
	if v := f.settings["innodb_flush_log_at_trx_commit"]; v != "1" && v != "3" {
		concerns = append(concerns, fmt.Sprintf("innodb_flush_log_at_trx_commit is %s: a crash can lose transactions that were reported as committed, with their events; set it to 1", v))
	}
	if f.settings["innodb_doublewrite"] == "OFF" {
		concerns = append(concerns, "innodb_doublewrite is OFF: a crash of the machine can damage tables; turn it on, unless the file system writes pages whole")
	}
	if v := f.settings["sync_binlog"]; f.settings["log_bin"] == "ON" && v != "1" {
		concerns = append(concerns, fmt.Sprintf("sync_binlog is %s: after a crash a replica can be without transactions whose events were sent; set it to 1", v))
	}
	if limit, err := strconv.Atoi(f.settings["max_allowed_packet"]); err == nil && limit < 2*mysqldb.InsertBytes+1<<20 {
		concerns = append(concerns, fmt.Sprintf("max_allowed_packet is %d bytes: transactions with large events fail; set it to 16 MiB or more", limit))
	}
	return concerns
}

// checkVersion reads "8.4.2" and "10.11.6-MariaDB-log".
func checkVersion(version string) error {
	need, name := [3]int{8, 0, 19}, "MySQL"
	if strings.Contains(version, "MariaDB") {
		need, name = [3]int{10, 6, 0}, "MariaDB"
	}
	var is [3]int
	number, _, _ := strings.Cut(version, "-")
	for i, part := range strings.SplitN(number, ".", 3) {
		is[i], _ = strconv.Atoi(part) // what is no number is an old version
	}
	for i := range is {
		if is[i] != need[i] {
			if is[i] > need[i] {
				return nil
			}
			return &ServerError{Setting: "version", Value: version, Need: fmt.Sprintf("the library needs %s %d.%d.%d or later", name, need[0], need[1], need[2])}
		}
	}
	return nil
}

// checkSchema is CheckSchema on a connection.
func checkSchema(ctx context.Context, conn *sql.Conn) error {
	f, err := gather(ctx, conn)
	if err != nil {
		return err
	}
	return f.err()
}

// CheckSchema says what is wrong with the library's tables and the server's
// settings: [ErrSchema] if tables are missing, a [*ServerError] if the server
// is too old or has a setting that loses events. The relay checks the same
// when it starts.
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

// Concerns implements [eventmodels.OutboxStore].
func (s *store) Concerns(ctx context.Context) (concerns []string, err error) {
	err = s.connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		f, err := gather(ctx, conn)
		concerns = f.concerns()
		return err
	})
	return concerns, err
}
