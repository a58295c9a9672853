package eventpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// endLimit bounds COMMIT and ROLLBACK, which do not end with the context of
// their transaction. A COMMIT that takes longer has an unknown outcome.
const endLimit = 30 * time.Second

// Tx is a transaction in which events can be produced. It is a *sql.Tx on a
// connection of its own, whose native *pgx.Conn it gives, too.
//
// End it by returning from the function given to Transact, and by nothing
// else. A COMMIT or ROLLBACK in SQL, or through the native connection, skips
// the events; Transact notices, unless another transaction has been begun
// after it, and returns [eventmodels.ErrTransactionEnded]. Events that were
// produced between SAVEPOINT and ROLLBACK TO SAVEPOINT are sent.
type Tx struct {
	*sql.Tx
	eventdb.Pending

	conn    *sql.Conn
	native  *pgx.Conn
	abandon context.CancelFunc // ends the connection's wait for COMMIT or ROLLBACK
	once    sync.Once
	ended   bool // by Commit or Rollback; used like the rest of Tx by one goroutine at a time
}

var (
	_ eventdb.BasicTX        = (*Tx)(nil)
	_ eventmodels.EnhancedTX = (*Tx)(nil)
)

// Native returns the pgx connection of the transaction, for what database/sql
// cannot do: CopyFrom, batches, pgx's types. It is inside the transaction, and
// must not be used once the transaction has ended, nor while rows of a query
// of either side are open.
func (tx *Tx) Native() *pgx.Conn { return tx.native }

// Ended reports whether the transaction was ended: by Commit or Rollback, or
// with SQL. It does not ask the server.
func (tx *Tx) Ended() bool {
	return tx.ended || tx.native.PgConn().TxStatus() == 'I'
}

// errLostBefore says that there was no connection to send COMMIT over. It is told
// from one that was lost while the answer to COMMIT was waited for, for which
// pgx has the same error.
var errLostBefore = fmt.Errorf("the connection was lost before COMMIT: %w", pgconn.ErrConnClosed)

// Commit commits, unless the library's Transact does, and gives the connection
// back. Events that were produced without Transact would be lost: it then rolls
// back, and the error is [eventmodels.ErrTransactionEnded].
func (tx *Tx) Commit() error {
	if err := tx.Unstored(); err != nil && !tx.ended {
		return errors.Join(err, tx.Rollback())
	}
	if !tx.ended && tx.native.IsClosed() {
		_ = tx.Rollback()
		return errLostBefore
	}
	return tx.end(tx.Tx.Commit)
}

// Rollback rolls back, unless the library's Transact does, and gives the
// connection back.
func (tx *Tx) Rollback() error { return tx.end(tx.Tx.Rollback) }

func (tx *Tx) end(how func() error) error {
	if tx.ended {
		return sql.ErrTxDone
	}
	tx.ended = true
	limit := time.AfterFunc(endLimit, tx.abandon)
	defer tx.release()
	defer limit.Stop()
	return how()
}

func (tx *Tx) release() {
	tx.once.Do(func() {
		tx.abandon()
		_ = tx.conn.Close() // of a pool's connection: it goes back, or is dropped if it is broken
	})
}

// ExecContext is that of *sql.Tx.
func (tx *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := tx.Tx.ExecContext(ctx, query, args...)
	return result, tx.explainBusy(err)
}

// QueryContext is that of *sql.Tx.
func (tx *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := tx.Tx.QueryContext(ctx, query, args...)
	return rows, tx.explainBusy(err)
}

// errBusy is a mistake of the application that pgx reports to database/sql,
// and so to everybody, as a bad connection.
var errBusy = errors.New("the rows of an earlier query in this transaction are still open; close them first")

func (tx *Tx) explainBusy(err error) error {
	if errors.Is(err, driver.ErrBadConn) && tx.native.PgConn().IsBusy() {
		return errBusy
	}
	return err
}

// Pool is a *sql.DB of pgx's driver, with transactions that are [*Tx].
type Pool struct{ *sql.DB }

var _ eventdb.BasicDB[*Tx] = (*Pool)(nil)

// BeginTx begins a transaction; nil options are the database's defaults. The
// end of ctx ends the wait for a connection and for BEGIN. Unlike that of
// *sql.DB it does not end the transaction afterwards: Commit or Rollback must
// be called. So a COMMIT that has been sent is not given up because somebody
// has lost interest, and its outcome is known.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*Tx, error) {
	conn, err := p.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	native, err := nativeConn(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	lasting, abandon := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, abandon)
	sqlTx, err := conn.BeginTx(lasting, opts)
	if !stop() && err == nil {
		err = errors.Join(context.Cause(ctx), ignoreDone(sqlTx.Rollback()))
	}
	if err != nil {
		abandon()
		return nil, errors.Join(err, ignoreClosed(conn.Close()))
	}
	return &Tx{Tx: sqlTx, conn: conn, native: native, abandon: abandon}, nil
}

// DriverError says that a *sql.DB does not use pgx.
type DriverError struct {
	// Driver is the type of the driver's connections.
	Driver string
}

// Error says what to do.
func (e *DriverError) Error() string {
	return fmt.Sprintf("the *sql.DB has the driver connection %s, and eventpg needs that of github.com/jackc/pgx/v5/stdlib; "+
		`open it with eventpg.Open, sql.Open("pgx", dsn) or stdlib.OpenDB`, e.Driver)
}

// nativeConn returns the pgx connection below conn, also when the driver is
// wrapped by one that shows what it wraps.
func nativeConn(conn *sql.Conn) (native *pgx.Conn, err error) {
	err = conn.Raw(func(outer any) error {
		for inner := outer; ; {
			switch c := inner.(type) {
			case interface{ Conn() *pgx.Conn }: // *stdlib.Conn, *driverConn
				native = c.Conn()
				return nil
			case interface{ Raw() driver.Conn }:
				inner = c.Raw()
			default:
				return &DriverError{Driver: fmt.Sprintf("%T", outer)}
			}
		}
	})
	return native, err
}

// ignoreClosed drops the error of closing what a broken connection has closed.
func ignoreClosed(err error) error {
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return nil
	}
	return err
}
