package eventmysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// endLimit bounds the wait for COMMIT and ROLLBACK, which do not end with the
// context of their transaction. A COMMIT that takes longer has an unknown
// outcome.
const endLimit = 30 * time.Second

// errEndLimit is the error of a COMMIT or ROLLBACK that was given up.
var errEndLimit = fmt.Errorf("the server has not answered within %v", endLimit)

// Tx is a transaction in which events can be produced. It is a *sql.Tx, the
// field Tx, for code that wants one; statements are better run by the methods
// of Tx itself: they notice what ends the transaction.
//
// After a deadlock the server has rolled the transaction back and is in none,
// and each statement that came then would take effect by itself; after a lock
// timeout (also that of NOWAIT) a part of the transaction would be committed.
// Therefore Tx rolls back after such an error and refuses every further
// statement; Transact returns the error, with which an event is tried again.
// Other errors of statements, such as a duplicate key, undo that statement
// only, and the transaction goes on: the server knows no transaction that has
// failed and is still open.
//
// End it by returning from the function given to Transact, and by nothing
// else. A COMMIT or ROLLBACK in SQL, and every statement that commits
// implicitly (CREATE, ALTER, DROP, TRUNCATE and others), skips the events;
// Transact notices and returns [eventmodels.ErrTransactionEnded]. Events that
// were produced between SAVEPOINT and ROLLBACK TO SAVEPOINT are sent.
type Tx struct {
	*sql.Tx
	eventdb.Pending

	conn    *sql.Conn
	abandon context.CancelFunc // ends the transaction's context

	mu    sync.Mutex
	lost  *mysqldb.RolledBackError // guarded by mu
	ended bool                     // by Commit or Rollback; guarded by mu
	asked bool                     // Ended was called; guarded by mu
	gone  bool                     // what Ended has found; guarded by mu
	// The rollback after lost has failed; guarded by mu.
	broken bool
}

var (
	_ eventdb.BasicTX        = (*Tx)(nil)
	_ eventmodels.EnhancedTX = (*Tx)(nil)
)

// savepoint is there for as long as the transaction: whoever finds it gone
// knows that the transaction has ended, whatever has begun since.
const savepoint = "events_transaction"

// ExecContext runs a statement that returns no rows.
func (tx *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := tx.over(); err != nil {
		return nil, err
	}
	result, err := tx.Tx.ExecContext(ctx, query, args...)
	return result, tx.notice(err)
}

// QueryContext runs a statement that returns rows. They must be closed before
// the transaction's next statement.
func (tx *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := tx.over(); err != nil {
		return nil, err
	}
	rows, err := tx.Tx.QueryContext(ctx, query, args...)
	return rows, tx.notice(err)
}

// QueryRowContext runs a statement that returns one row.
func (tx *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := tx.Tx.QueryRowContext(ctx, query, args...)
	_ = tx.notice(row.Err()) // the row has it
	return row
}

// Exec is ExecContext with the background context.
func (tx *Tx) Exec(query string, args ...any) (sql.Result, error) {
	return tx.ExecContext(context.Background(), query, args...)
}

// Query is QueryContext with the background context.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return tx.QueryContext(context.Background(), query, args...)
}

// QueryRow is QueryRowContext with the background context.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	return tx.QueryRowContext(context.Background(), query, args...)
}

// over returns the error of a transaction that is no more.
func (tx *Tx) over() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.lost != nil {
		return tx.lost
	}
	return nil
}

// notice looks at a statement's error. One that ends the transaction ends it
// for database/sql, too.
func (tx *Tx) notice(err error) error {
	if !mysqldb.EndsTransaction(err) {
		return err
	}
	tx.mu.Lock()
	first := tx.lost == nil && !tx.ended
	if first {
		tx.lost = &mysqldb.RolledBackError{Cause: err}
	}
	tx.mu.Unlock()
	if first {
		undone := limited(tx.Tx.Rollback)
		tx.mu.Lock()
		tx.broken = undone != nil && !errors.Is(undone, sql.ErrTxDone)
		tx.mu.Unlock()
	}
	return err
}

// Ended reports whether the transaction was ended: by Commit or Rollback, or
// with SQL. The first call asks the server, later ones repeat what it has
// said; Transact calls it before COMMIT.
func (tx *Tx) Ended() bool {
	tx.mu.Lock()
	done, lost, asked, gone := tx.ended, tx.lost != nil, tx.asked, tx.gone
	tx.asked = true
	tx.mu.Unlock()
	switch {
	case done:
		return true
	case lost:
		return false // Commit tells why
	case asked:
		return gone
	}
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	_, err := tx.Tx.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint)
	gone = mysqldb.NoSavepoint(err) || errors.Is(err, sql.ErrTxDone)
	tx.mu.Lock()
	tx.gone = gone
	tx.mu.Unlock()
	if !gone {
		_ = tx.notice(err) // Commit tells
	}
	return gone
}

// Commit commits, unless the library's Transact does, and gives the connection
// back. After an error it is not used again: a COMMIT that is refused leaves
// the transaction open.
func (tx *Tx) Commit() error {
	if err := tx.over(); err != nil {
		_ = tx.end(func() error { return nil })
		return err
	}
	return tx.end(tx.Tx.Commit)
}

// Rollback rolls back, unless the library's Transact does, and gives the
// connection back.
func (tx *Tx) Rollback() error {
	if tx.over() != nil {
		return tx.end(func() error { return nil }) // has been done
	}
	return tx.end(tx.Tx.Rollback)
}

func (tx *Tx) end(how func() error) error {
	tx.mu.Lock()
	done, broken := tx.ended, tx.broken
	tx.ended = true
	tx.mu.Unlock()
	if done {
		return sql.ErrTxDone
	}
	err := limited(how)
	if errors.Is(err, errEndLimit) {
		// Whoever still waits for the answer holds the connection.
		go tx.release(true)
		return err
	}
	tx.release(broken || err != nil)
	return err
}

// limited waits for f no longer than endLimit: nothing else ends the wait for
// a server that is there and does not answer.
func limited(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(endLimit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errEndLimit
	}
}

func (tx *Tx) release(broken bool) {
	tx.abandon()
	if broken {
		mysqldb.Discard(tx.conn)
		return
	}
	_ = tx.conn.Close() // of a pool's connection: it goes back
}

// Pool is a *sql.DB of go-sql-driver/mysql, with transactions that are [*Tx].
type Pool struct{ *sql.DB }

var _ eventdb.BasicDB[*Tx] = (*Pool)(nil)

// BeginTx begins a transaction; nil options are the database's defaults. The
// end of ctx ends the wait for a connection and for BEGIN. Unlike that of
// *sql.DB it does not end the transaction afterwards: Commit or Rollback must
// be called. So a COMMIT that has been sent is not given up because somebody
// has lost interest, and its outcome is known.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*Tx, error) {
	const attempts = 3 // connections may have been closed while they were idle
	for attempt := 1; ; attempt++ {
		tx, err := p.begin(ctx, opts)
		if err == nil || attempt == attempts || ctx.Err() != nil || !errors.Is(err, driver.ErrBadConn) {
			return tx, err
		}
	}
}

func (p *Pool) begin(ctx context.Context, opts *sql.TxOptions) (*Tx, error) {
	conn, err := p.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	lasting, abandon := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, abandon)
	sqlTx, err := conn.BeginTx(lasting, opts)
	if err == nil {
		_, err = sqlTx.ExecContext(lasting, "SAVEPOINT "+savepoint)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		abandon()
		mysqldb.Discard(conn) // and with it what has begun
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return &Tx{Tx: sqlTx, conn: conn, abandon: abandon}, nil
}
