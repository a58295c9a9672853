package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Tx is a transaction in which events can be produced. It is an *sql.Tx, the
// field Tx, for code that wants one; statements are better run by the methods
// of Tx itself. They notice when SQLite ends the transaction by its own (full
// disk, a write whose context has ended, OR ROLLBACK): then nothing is run
// any more, while a bare *sql.Tx would go on without a transaction, each
// statement for itself. What ends it while rows are read, or in a statement that
// was prepared, they notice before the next statement of theirs, or at the
// function's end.
//
// A statement that fails for another reason, such as a constraint, has no
// effect, and the transaction goes on: SQLite knows no transaction that has
// failed and is still open.
type Tx struct {
	*sql.Tx
	eventdb.Pending

	ctx  context.Context // of BeginTx: database/sql rolls back when it ends
	free func()          // gives the write lock back, once
	lost atomic.Pointer[rolledBackError]
	// unseen: there were rows or prepared statements, whose errors only the
	// caller sees.
	unseen atomic.Bool
}

var _ eventmodels.EnhancedTX = (*Tx)(nil)

// ExecContext runs a statement that returns no rows.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := t.ask(); err != nil {
		return nil, err
	}
	result, err := t.Tx.ExecContext(ctx, query, args...)
	t.notice(err)
	return result, err
}

// QueryContext runs a statement that returns rows.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := t.ask(); err != nil {
		return nil, err
	}
	rows, err := t.Tx.QueryContext(ctx, query, args...)
	t.notice(err)
	t.unseen.Store(true)
	return rows, err
}

// QueryRowContext runs a statement that returns one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = t.ask() // if it has ended for SQLite it has ended for database/sql now
	row := t.Tx.QueryRowContext(ctx, query, args...)
	t.notice(row.Err())
	t.unseen.Store(true)
	return row
}

// Exec is ExecContext with the background context.
func (t *Tx) Exec(query string, args ...any) (sql.Result, error) {
	return t.ExecContext(context.Background(), query, args...)
}

// Query is QueryContext with the background context.
func (t *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return t.QueryContext(context.Background(), query, args...)
}

// QueryRow is QueryRowContext with the background context.
func (t *Tx) QueryRow(query string, args ...any) *sql.Row {
	return t.QueryRowContext(context.Background(), query, args...)
}

// PrepareContext prepares a statement for the transaction.
func (t *Tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	t.unseen.Store(true)
	return t.Tx.PrepareContext(ctx, query)
}

// Prepare is PrepareContext with the background context.
func (t *Tx) Prepare(query string) (*sql.Stmt, error) {
	return t.PrepareContext(context.Background(), query)
}

// StmtContext makes a statement of the transaction of one that was prepared for
// the database.
func (t *Tx) StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	t.unseen.Store(true)
	return t.Tx.StmtContext(ctx, stmt)
}

// Stmt is StmtContext with the background context.
func (t *Tx) Stmt(stmt *sql.Stmt) *sql.Stmt { return t.StmtContext(context.Background(), stmt) }

// Commit commits. Transact does it; it is for those who began with
// [Pool.BeginTx]. Events that were produced without Transact would be lost: it
// then rolls back, and the error is [eventmodels.ErrTransactionEnded].
func (t *Tx) Commit() error {
	defer t.free()
	if err := t.gone(); err != nil {
		return err
	}
	if err := t.Unstored(); err != nil {
		return errors.Join(err, t.Tx.Rollback())
	}
	return t.Tx.Commit()
}

// Rollback rolls back, and is an error after the end of the transaction.
func (t *Tx) Rollback() error {
	defer t.free()
	return t.Tx.Rollback()
}

// Ended reports whether the transaction was ended behind the library's back,
// with raw SQL or through the *sql.Tx. A COMMIT that was followed by another
// BEGIN goes unnoticed.
func (t *Tx) Ended() bool {
	if t.lost.Load() != nil {
		return false // Commit tells why
	}
	switch t.state() {
	case stateAutocommit:
		return true
	case stateDone:
		return t.ctx.Err() == nil
	}
	return false
}

// gone returns the error of a transaction that SQLite has ended.
func (t *Tx) gone() error {
	if lost := t.lost.Load(); lost != nil {
		return lost
	}
	return nil
}

// errUnseen is why a transaction has ended if nothing that the library has seen
// is the reason.
var errUnseen = errors.New("it came while rows were read (rows.Err, Scan), or from a prepared statement or ROLLBACK")

// ask is gone, but asks SQLite if the transaction can have ended unseen.
func (t *Tx) ask() error {
	if t.unseen.Load() && t.lost.Load() == nil {
		t.notice(errUnseen)
	}
	return t.gone()
}

// notice looks after a statement's error whether the transaction is still
// there. If not, it ends for database/sql, too.
func (t *Tx) notice(err error) {
	if err == nil || t.state() != stateAutocommit {
		return
	}
	if t.lost.CompareAndSwap(nil, &rolledBackError{err}) {
		_ = t.Tx.Rollback()
	}
}

type txState int

const (
	stateOpen       txState = iota // a transaction is open on the connection
	stateAutocommit                // none is
	stateDone                      // database/sql has ended it and taken the connection back
)

// state asks SQLite with a BEGIN, which it refuses inside a transaction. Where
// it does not, it opens one that is empty, locks nothing, and is rolled back
// with the *sql.Tx. (The driver does not tell sqlite3_get_autocommit.)
func (t *Tx) state() txState {
	_, err := t.Tx.ExecContext(context.Background(), "BEGIN")
	switch {
	case err == nil:
		return stateAutocommit
	case primary(code(err)) == sqlite3.SQLITE_ERROR:
		return stateOpen
	case errors.Is(err, sql.ErrTxDone):
		return stateDone
	}
	return stateOpen // the connection is broken: the next statement tells
}
