package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"
)

// endLimit bounds the wait for COMMIT and ROLLBACK, which do not end with the
// context of their transaction. A COMMIT that takes longer has an unknown
// outcome.
const endLimit = 30 * time.Second

// errEndLimit is the error of a COMMIT or ROLLBACK that was given up.
var errEndLimit = fmt.Errorf("the server has not answered within %v", endLimit)

// Transaction is a *sql.Tx on a connection of its own that notices what ends
// it. After an error of [EndsTransaction] it rolls back and refuses every
// further statement.
type Transaction struct {
	*sql.Tx

	conn      *sql.Conn
	abandon   context.CancelFunc // ends the transaction's context
	savepoint string             // "" if the server has none
	// Every SELECT takes locks.
	serializable bool

	mu    sync.Mutex
	lost  *RolledBackError // guarded by mu
	ended bool             // by Commit or Rollback; guarded by mu
	asked bool             // Ended was called; guarded by mu
	gone  bool             // what Ended has found; guarded by mu
	// The rollback after lost has failed; guarded by mu.
	broken bool
	// The session's autocommit is off until the end; guarded by mu.
	guarded bool
}

// locking matches queries that take locks as they go from row to row. Where it
// matches one that takes none, that costs a round trip.
var locking = regexp.MustCompile(`(?i)\bfor\s+(update|share)\b|\block\s+in\s|\breturning\b|^\s*call\b`)

// A server that finds a deadlock between the rows of a query says so in the
// rows, which the caller reads and notice does not see. Should he ignore it, what
// comes next must not take effect by itself: without autocommit it is in a
// transaction that the server begins, Ended finds that this is another one, and
// it is rolled back.
const (
	guardOn  = "SET @events_autocommit = @@autocommit, autocommit = 0"
	guardOff = "SET autocommit = @events_autocommit"
)

// guard turns autocommit off before the first query that takes locks. After Ended
// has looked there are the library's statements only, which ignore no error.
func (tx *Transaction) guard(ctx context.Context, query string) error {
	if tx.savepoint == "" || !tx.serializable && !locking.MatchString(query) {
		return nil
	}
	tx.mu.Lock()
	needed := !tx.guarded && !tx.asked && !tx.ended && tx.lost == nil
	tx.guarded = tx.guarded || needed
	tx.mu.Unlock()
	if !needed {
		return nil
	}
	_, err := tx.Tx.ExecContext(ctx, guardOn)
	return tx.notice(err)
}

// ExecContext runs a statement that returns no rows.
func (tx *Transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := tx.over(); err != nil {
		return nil, err
	}
	result, err := tx.Tx.ExecContext(ctx, query, args...)
	return result, tx.notice(err)
}

// QueryContext runs a statement that returns rows. They must be closed before
// the transaction's next statement.
func (tx *Transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := tx.over(); err != nil {
		return nil, err
	}
	if err := tx.guard(ctx, query); err != nil {
		return nil, err
	}
	rows, err := tx.Tx.QueryContext(ctx, query, args...)
	return rows, tx.notice(err)
}

// QueryRowContext runs a statement that returns one row.
func (tx *Transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = tx.guard(ctx, query) // the connection is gone, which the query finds, too
	row := tx.Tx.QueryRowContext(ctx, query, args...)
	_ = tx.notice(row.Err()) // the row has it
	return row
}

// Exec is ExecContext with the background context.
func (tx *Transaction) Exec(query string, args ...any) (sql.Result, error) {
	return tx.ExecContext(context.Background(), query, args...)
}

// Query is QueryContext with the background context.
func (tx *Transaction) Query(query string, args ...any) (*sql.Rows, error) {
	return tx.QueryContext(context.Background(), query, args...)
}

// QueryRow is QueryRowContext with the background context.
func (tx *Transaction) QueryRow(query string, args ...any) *sql.Row {
	return tx.QueryRowContext(context.Background(), query, args...)
}

// over returns the error of a transaction that is no more.
func (tx *Transaction) over() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.lost != nil {
		return tx.lost
	}
	return nil
}

// notice looks at a statement's error. One that ends the transaction ends it
// for database/sql, too.
func (tx *Transaction) notice(err error) error {
	if !EndsTransaction(err) {
		return err
	}
	tx.mu.Lock()
	first := tx.lost == nil && !tx.ended
	if first {
		tx.lost = &RolledBackError{Cause: err}
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

// Ended reports whether the transaction was ended: by Commit or Rollback, or,
// where the server has savepoints, with SQL. The first call asks the server,
// later ones repeat what it has said; Transact calls it before COMMIT.
func (tx *Transaction) Ended() bool {
	tx.mu.Lock()
	done, lost, asked, gone := tx.ended, tx.lost != nil, tx.asked, tx.gone
	tx.asked = true
	tx.mu.Unlock()
	switch {
	case done:
		return true
	case lost:
		return false // Commit tells why
	case asked || tx.savepoint == "":
		return gone
	}
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	_, err := tx.Tx.ExecContext(ctx, "RELEASE SAVEPOINT "+tx.savepoint)
	gone = NoSavepoint(err) || errors.Is(err, sql.ErrTxDone)
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
func (tx *Transaction) Commit() error {
	if err := tx.over(); err != nil {
		_ = tx.end(func() error { return nil })
		return err
	}
	return tx.end(tx.Tx.Commit)
}

// Rollback rolls back, unless the library's Transact does, and gives the
// connection back.
func (tx *Transaction) Rollback() error {
	if tx.over() != nil {
		return tx.end(func() error { return nil }) // has been done
	}
	return tx.end(tx.Tx.Rollback)
}

func (tx *Transaction) end(how func() error) error {
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

func (tx *Transaction) release(broken bool) {
	tx.abandon()
	tx.mu.Lock()
	guarded := tx.guarded
	tx.mu.Unlock()
	if guarded && !broken {
		ctx, cancel := context.WithTimeout(context.Background(), endLimit)
		_, err := tx.conn.ExecContext(ctx, guardOff)
		cancel()
		broken = err != nil
	}
	if broken {
		Discard(tx.conn)
		return
	}
	_ = tx.conn.Close() // of a pool's connection: it goes back
}

// Begin begins a transaction of db, with a savepoint of this name unless that
// is "": whoever finds it gone knows that the transaction has ended, whatever
// has begun since.
//
// The end of ctx ends the wait for a connection and for BEGIN, and not the
// transaction.
func Begin(ctx context.Context, db *sql.DB, opts *sql.TxOptions, savepoint string) (*Transaction, error) {
	const attempts = 3 // connections may have been closed while they were idle
	for attempt := 1; ; attempt++ {
		tx, err := begin(ctx, db, opts, savepoint)
		if err == nil || attempt == attempts || ctx.Err() != nil || !errors.Is(err, driver.ErrBadConn) {
			return tx, err
		}
	}
}

func begin(ctx context.Context, db *sql.DB, opts *sql.TxOptions, savepoint string) (*Transaction, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	lasting, abandon := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, abandon)
	sqlTx, err := conn.BeginTx(lasting, opts)
	if err == nil && savepoint != "" {
		_, err = sqlTx.ExecContext(lasting, "SAVEPOINT "+savepoint)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		abandon()
		Discard(conn) // and with it what has begun
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	serializable := opts != nil && opts.Isolation == sql.LevelSerializable
	return &Transaction{Tx: sqlTx, conn: conn, abandon: abandon, savepoint: savepoint, serializable: serializable}, nil
}
