package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
)

// Pool is an *sql.DB whose transactions are *[Tx]. Use it instead of the
// *sql.DB in it for what writes: its methods wait for their turn, in the
// order in which they have come, while those of the *sql.DB fail with
// SQLITE_BUSY when another transaction writes.
//
// Get one from [Connection.Unwrap].
type Pool struct {
	*sql.DB

	file      atomic.Pointer[file] // found at the first use, see locate
	immediate bool                 // DB begins transactions with the write lock
	volatile  bool                 // the data does not outlive the process
	markWait  time.Duration
}

// BeginTx begins a transaction that has the write lock, and waits for that
// until ctx ends. When ctx ends later it is rolled back. Its level is always
// serializable, whatever opts say. With opts.ReadOnly it is a snapshot for
// reading that waits for nobody.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*Tx, error) {
	if opts != nil && opts.ReadOnly {
		sqlTx, err := p.DB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return nil, err
		}
		return &Tx{Tx: sqlTx, ctx: ctx, free: func() {}}, nil
	}
	f, err := p.locate(ctx)
	if err != nil {
		return nil, err
	}
	waiting := ctx
	if opts == onceOptions {
		limited, cancel := context.WithTimeoutCause(ctx, p.waitLimit(), &lockWaitError{p.waitLimit()})
		defer cancel()
		waiting = limited
	}
	if err := f.lock.acquire(waiting); err != nil {
		return nil, waitError(ctx, waiting, err)
	}
	var sqlTx *sql.Tx
	err = whileBusy(waiting, func() (err error) {
		sqlTx, err = p.begin(ctx)
		return err
	})
	if err != nil {
		f.lock.release()
		return nil, waitError(ctx, waiting, err)
	}
	return newTx(ctx, sqlTx, f.lock), nil
}

// waitLimit bounds the wait of exactly-once transactions.
func (p *Pool) waitLimit() time.Duration {
	if p.markWait <= 0 {
		return eventdb.DefaultMarkWait
	}
	return p.markWait
}

// waitError says, of a wait that was limited, that it is the limit that has
// ended it.
func waitError(ctx, waiting context.Context, err error) error {
	if limit, ok := errors.AsType[*lockWaitError](context.Cause(waiting)); ok && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return limit
	}
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return fmt.Errorf("wait for the database's write lock: %w", err)
	}
	return err
}

// begin begins with the write lock, or is busy. What a service's *sql.DB
// begins it with is the service's choice, so that its transaction is replaced
// on the same connection, where database/sql goes on to end it.
func (p *Pool) begin(ctx context.Context) (*sql.Tx, error) {
	sqlTx, err := p.DB.BeginTx(ctx, nil)
	if err != nil || p.immediate {
		return sqlTx, err
	}
	if _, err := sqlTx.ExecContext(ctx, "ROLLBACK; BEGIN IMMEDIATE"); err != nil {
		_ = sqlTx.Rollback() // none is open, which is an error without a meaning
		return nil, err
	}
	return sqlTx, nil
}

func newTx(ctx context.Context, sqlTx *sql.Tx, lock *writeLock) *Tx {
	// database/sql rolls back when ctx ends, and gives SQLite's lock back.
	// Ours follows even if nobody ends the transaction.
	var released atomic.Bool
	release := func() {
		if released.CompareAndSwap(false, true) {
			lock.release()
		}
	}
	stop := context.AfterFunc(ctx, release)
	return &Tx{Tx: sqlTx, ctx: ctx, free: func() {
		stop()
		release()
	}}
}

// ExecContext runs a statement in a transaction of its own when its turn to
// write has come.
func (p *Pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	f, err := p.locate(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.lock.acquire(ctx); err != nil {
		return nil, waitError(ctx, ctx, err)
	}
	defer f.lock.release()
	var result sql.Result
	err = whileBusy(ctx, func() (err error) {
		result, err = p.DB.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// Exec is ExecContext with the background context.
func (p *Pool) Exec(query string, args ...any) (sql.Result, error) {
	return p.ExecContext(context.Background(), query, args...)
}

// QueryContext reads. It waits for nobody, except with a statement that
// writes (RETURNING).
func (p *Pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	err := whileBusy(ctx, func() (err error) {
		rows, err = p.DB.QueryContext(ctx, query, args...)
		return err
	})
	return rows, err
}

// Query is QueryContext with the background context.
func (p *Pool) Query(query string, args ...any) (*sql.Rows, error) {
	return p.QueryContext(context.Background(), query, args...)
}

// QueryRowContext reads one row, as QueryContext does.
func (p *Pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	var row *sql.Row
	_ = whileBusy(ctx, func() error { // the row has the error
		row = p.DB.QueryRowContext(ctx, query, args...)
		return row.Err()
	})
	return row
}

// QueryRow is QueryRowContext with the background context.
func (p *Pool) QueryRow(query string, args ...any) *sql.Row {
	return p.QueryRowContext(context.Background(), query, args...)
}

// locate returns the database's file.
func (p *Pool) locate(ctx context.Context) (*file, error) {
	if f := p.file.Load(); f != nil {
		return f, nil
	}
	f, err := locate(ctx, p.DB)
	if err != nil {
		return nil, err
	}
	f.volatile = p.volatile
	p.file.Store(f) // goroutines that do it at the same time find the same
	return f, nil
}
