package eventpg

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	eventerrors "github.com/memsql/errors"

	"github.com/seed46dd6f11/events/eventmodels"
)

// ErrSchema says (errors.Is) that the database has not got the library's
// tables, or not all of them.
const ErrSchema eventerrors.String = "the tables of the events library are missing or older than it; run eventpg.Migrate (or Open with WithMigrate), or apply eventpg.Schema with the migration tool of your choice"

// SequenceCacheError says that sessions draw the numbers of outbox rows in
// advance, which would lose the order of the events, and events.
type SequenceCacheError struct {
	// Cache is the sequence's cache, Increment its step.
	Cache, Increment int64
}

// Error says what to do.
func (e *SequenceCacheError) Error() string {
	return fmt.Sprintf("the sequence of events_outbox.seq has CACHE %d and INCREMENT %d, and the relay needs CACHE 1 and a positive increment; "+
		"run: ALTER TABLE events_outbox ALTER COLUMN seq SET CACHE 1 SET INCREMENT 1", e.Cache, e.Increment)
}

// TransactionTypeError says that ProduceTx was given something that is not a
// transaction that it knows.
type TransactionTypeError struct {
	// Type of what was given.
	Type string
}

// Error says what may be given.
func (e *TransactionTypeError) Error() string {
	return fmt.Sprintf("%s is not a transaction that events can be produced in; give a *sql.Tx, a type that embeds one (*eventpg.Tx, *sqlx.Tx), or a pgx.Tx. "+
		"A pool or a connection is none: the event would be stored although the transaction rolls back", e.Type)
}

// SQLSTATE codes and classes, see the appendix of PostgreSQL's manual.
const (
	codeUndefinedTable     = "42P01"
	codeUndefinedColumn    = "42703"
	codeDuplicateTable     = "42P07"
	codeDuplicateColumn    = "42701"
	codeSerialization      = "40001"
	codeDeadlock           = "40P01"
	codeLockNotAvailable   = "55P03"
	codeReadOnly           = "25006"
	codeIdleInTransaction  = "25P03"
	codeInvalidPassword    = "28P01"
	codeUnknownDatabase    = "3D000"
	codeTooManyConnections = "53300"

	classConnection    = "08"
	classAuthorization = "28"
	classResources     = "53"
	classIntervention  = "57P" // shutdown and the like; 57014 and the rest of class 57 are not of it
	classSystem        = "58"
)

// Fault says whose fault an error is.
//
// Away are errors of the connection, and what the server answers when it
// shuts down, starts, has no resources, has trouble with its own files, or has
// become a standby that takes no writes. A cancelled statement (57014) is the
// handler's, also when statement_timeout has cancelled it: a statement that is
// too slow is slow again. The end of a context says nothing about the
// database.
func (dialect) Fault(err error) eventmodels.Fault {
	if err == nil {
		return eventmodels.FaultEvent
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) { // before contexts: the timeout may be that of connecting
		return eventmodels.FaultAway
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return faultOfCode(answer.Code)
	}
	if lost(err) {
		return eventmodels.FaultAway
	}
	return eventmodels.FaultEvent
}

func faultOfCode(code string) eventmodels.Fault {
	switch {
	case code == codeSerialization, code == codeDeadlock, code == codeLockNotAvailable:
		return eventmodels.FaultConflict
	case code == codeReadOnly,
		hasClass(code, classConnection), hasClass(code, classResources), hasClass(code, classIntervention), hasClass(code, classSystem):
		return eventmodels.FaultAway
	}
	return eventmodels.FaultEvent
}

func hasClass(code, class string) bool { return len(code) == 5 && code[:len(class)] == class }

// lost says whether an error that is not the server's answer means that the
// connection is gone.
func lost(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var request *url.Error
	if errors.As(err, &request) { // a handler's HTTP request, and no connection to a database
		return false
	}
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}

// CommitRefused says whether an error of COMMIT proves that the transaction
// has not taken effect: the server has answered that it rolled back, or
// nothing was sent.
//
// A connection that the server ends (severity FATAL) proves nothing: the
// COMMIT may have been done before. The one exception is a transaction that
// was ended because nothing came.
func (dialect) CommitRefused(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, errLostBefore) {
		return true
	}
	var notCommitted *notCommittedError
	if errors.As(err, &notCommitted) {
		return true
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		if answer.Code == codeIdleInTransaction {
			return true
		}
		return answer.SeverityUnlocalized != "FATAL" && answer.SeverityUnlocalized != "PANIC" &&
			!hasClass(answer.Code, classConnection) && !hasClass(answer.Code, classIntervention)
	}
	// pgx calls a closed connection safe to retry, which is also its error if the
	// connection was lost while the answer to COMMIT was waited for.
	return pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)
}

// explainSchema adds what to do to the error of a statement on a table or a
// column that does not exist.
func explainSchema(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == codeUndefinedTable || answer.Code == codeUndefinedColumn) {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return err
}

// explainConnect says in words why a connection could not be made. Neither
// pgx nor the server repeat a password.
func explainConnect(config *pgx.ConnConfig, err error) error {
	where := fmt.Sprintf("PostgreSQL database %q at %s:%d as user %q", config.Database, config.Host, config.Port, config.User)
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && answer.Code == codeInvalidPassword:
		return fmt.Errorf("connect to %s: the server refuses the password: %w", where, err)
	case errors.As(err, &answer) && hasClass(answer.Code, classAuthorization):
		return fmt.Errorf("connect to %s: the server does not let this user in (see its pg_hba.conf): %w", where, err)
	case errors.As(err, &answer) && answer.Code == codeUnknownDatabase:
		return fmt.Errorf("connect to %s: there is no such database: %w", where, err)
	case errors.As(err, &answer) && answer.Code == codeTooManyConnections:
		return fmt.Errorf("connect to %s: the server has no connection left; lower the limits of the pools or raise its max_connections: %w", where, err)
	case errors.As(err, &answer):
		return fmt.Errorf("connect to %s: %w", where, err)
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || strings.Contains(err.Error(), "tls error") { // pgconn has no type for it
		return fmt.Errorf("connect to %s: no TLS with this server; check sslmode and the certificates: %w", where, err)
	}
	if strings.TrimSpace(config.ConnString()) == "" {
		where += " (the connection string is empty: these are the defaults of pgx and the environment)"
	}
	return fmt.Errorf("connect to %s: the server does not answer; check the address, and that it runs: %w", where, err)
}
