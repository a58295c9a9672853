package eventsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	eventerrors "github.com/memsql/errors"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed46dd6f11/events/eventmodels"
)

const (
	// ErrSchema says (errors.Is) that the database has not got the library's
	// tables, or not all of them.
	ErrSchema eventerrors.String = "the tables of the events library are missing or older than it; run eventsqlite.Migrate (or Open with WithMigrate), or apply eventsqlite.Schema with the migration tool of your choice"
	// ErrInMemory says (errors.Is) that a database has no file.
	ErrInMemory eventerrors.String = `the SQLite database is in memory, where its connections cannot share it; use a file, or eventsqlite.Open with the path ":memory:", which makes a temporary one`
)

// TransactionTypeError says that ProduceTx was given something that is not a
// transaction that it knows.
type TransactionTypeError struct {
	// Type of what was given.
	Type string
}

// Error says what may be given.
func (e *TransactionTypeError) Error() string {
	return fmt.Sprintf("%s is not a transaction that events can be produced in; give a *sql.Tx, or a type that embeds one (*eventsqlite.Tx, *sqlx.Tx). "+
		"A pool or a connection is none: the event would be stored although the transaction rolls back", e.Type)
}

// A lockWaitError says that an exactly-once transaction has given up waiting
// for its turn to write, so that its place among the running handlers is free
// for those that need no turn.
type lockWaitError struct{ waited time.Duration }

func (e *lockWaitError) Error() string {
	return fmt.Sprintf("another transaction has kept the database's only write lock for %v (WithMarkWait); SQLite has one writer at a time, keep transactions short", e.waited)
}

// A rolledBackError says that SQLite has ended a transaction by itself: the
// disk was full, a write was interrupted by its context, or a statement asked
// for it (OR ROLLBACK). Statements after that would take effect one by one,
// outside of any transaction, so there are none.
type rolledBackError struct{ cause error }

func (e *rolledBackError) Error() string {
	return fmt.Sprintf("SQLite has rolled the transaction back because of an earlier error, which must be returned and not be ignored: %v", e.cause)
}

func (e *rolledBackError) Unwrap() error { return e.cause }

// closedText is the error of a closed *sql.DB, which database/sql does not
// export.
const closedText = "sql: database is closed"

// code returns SQLite's extended result code in err, 0 (SQLITE_OK) if there
// is none.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return sqlite3.SQLITE_OK
}

// primary returns the part of a result code that says what kind of error it
// is.
func primary(code int) int { return code & 0xff }

// isBusy says that another connection has the lock, and that nothing has
// happened.
func isBusy(err error) bool { return err != nil && primary(code(err)) == sqlite3.SQLITE_BUSY }

// explainSchema adds what to do to the error of a statement on a table of the
// library that does not exist.
func explainSchema(err error) error {
	if primary(code(err)) == sqlite3.SQLITE_ERROR && strings.Contains(err.Error(), "no such table: events_") {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return err
}

// fault is the table of whose fault an error is.
func fault(err error) eventmodels.Fault {
	if _, ok := errors.AsType[*lockWaitError](err); ok {
		return eventmodels.FaultAway
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return eventmodels.FaultEvent
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), ends(err, closedText):
		return eventmodels.FaultAway
	}
	switch primary(code(err)) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA:
		return eventmodels.FaultConflict
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
		// The file system is mounted read-only now, or the file has lost its
		// permissions or its contents. No event is to blame.
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return eventmodels.FaultAway
	}
	return eventmodels.FaultEvent
}

// ends finds an error that only has a text, at the end of err's chain.
func ends(err error, text string) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == text {
			return true
		}
	}
	return false
}

// commitRefused: the driver rolls back when COMMIT fails. What SQLite has
// refused before it wrote the commit's last page cannot take effect. It may
// after an I/O error: a page that was written and could not be synchronised
// counts, should the process end before the next transaction writes over it.
func commitRefused(err error) bool {
	if _, ok := errors.AsType[*rolledBackError](err); ok {
		return true
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrTxDone):
		return true // database/sql has rolled back, COMMIT was not tried
	}
	switch primary(code(err)) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}
