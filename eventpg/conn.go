package eventpg

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Connector makes connections of pgx's driver (stdlib.GetConnector) save round
// trips in the library's transactions: an exactly-once delivery's mark travels
// with BEGIN, the events that a transaction has produced travel with COMMIT.
// [Open] and [WrapPool] use it. It is for services that open their own *sql.DB
// for [Wrap] or [New]:
//
//	db := eventpg.Wrap(sql.OpenDB(eventpg.Connector(stdlib.GetConnector(*config))))
//
// Everything else is as without. What sql.Conn.Raw shows is no *stdlib.Conn,
// but has its methods, Conn() *pgx.Conn among them. Connections that are not
// those of pgx's driver are left as they are.
func Connector(of driver.Connector) driver.Connector { return connector{of} }

type connector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.Connector.Connect(ctx)
	if native, ok := made.(*stdlib.Conn); ok && err == nil {
		return &driverConn{native}, nil
	}
	return made, err
}

// Close implements [io.Closer], which database/sql looks for.
func (c connector) Close() error {
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// pgxConn is embedded under another name than Conn, which would hide its method.
type pgxConn = stdlib.Conn

// driverConn is a connection whose transactions have fewer round trips.
type driverConn struct{ *pgxConn }

// BeginTx implements [driver.ConnBeginTx].
func (c *driverConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	trips := eventdb.RoundTripsOf(ctx)
	if trips == nil {
		return c.pgxConn.BeginTx(ctx, opts)
	}
	tx := &transaction{ctx: ctx, trips: trips, native: c.Conn()}
	var err error
	if trips.HasMarks() && opts == (driver.TxOptions{Isolation: driver.IsolationLevel(sql.LevelReadCommitted)}) {
		err = trips.InsertMarks(ctx, tx.beginWithMarks)
	} else {
		tx.begun, err = c.pgxConn.BeginTx(ctx, opts)
	}
	if err != nil {
		return nil, err
	}
	trips.Carry = tx.carry
	return tx, nil
}

// transaction is a driver.Tx whose COMMIT can insert rows first.
type transaction struct {
	ctx    context.Context // of BEGIN, and so of COMMIT and ROLLBACK
	trips  *eventdb.RoundTrips
	native *pgx.Conn
	begun  driver.Tx
	rows   []eventmodels.OutboxRow // for COMMIT
	scope  string
}

// beginWithMarks sends BEGIN and the INSERT at once. PostgreSQL answers the
// first error and passes over the rest, so that marks are inserted in this
// transaction or not at all.
func (t *transaction) beginWithMarks(ctx context.Context, marks []eventmodels.Mark) (fresh []eventmodels.Mark, err error) {
	var batch pgx.Batch
	batch.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	batch.Queue(insertMarks, marksArgument(marks))
	results := t.native.SendBatch(ctx, &batch)
	if _, err = results.Exec(); err == nil {
		rows, _ := results.Query() // its error is that of rows
		fresh, err = collectMarks(rows, len(marks))
		rows.Close()
	}
	if err = cmp.Or(err, results.Close()); err != nil {
		t.end()
		return nil, explainSchema(err)
	}
	t.begun = nativeEnd{t.ctx, results.Tx()}
	return fresh, nil
}

// nativeEnd is a pgx.Tx as a driver.Tx.
type nativeEnd struct {
	ctx context.Context
	tx  pgx.Tx
}

func (e nativeEnd) Commit() error   { return e.tx.Commit(e.ctx) }
func (e nativeEnd) Rollback() error { return e.tx.Rollback(e.ctx) }

// carry is [eventdb.RoundTrips].Carry. Rows that need more than one statement
// go before: together they would fill the memory of both sides.
func (t *transaction) carry(scope string, rows []eventmodels.OutboxRow) (bool, error) {
	if t.native.PgConn().IsBusy() {
		return false, errBusy
	}
	if fitting(rows) < len(rows) {
		return false, nil
	}
	t.scope, t.rows = scope, rows
	return true, nil
}

// Commit implements [driver.Tx].
//
// With rows, it sends INSERT and COMMIT at once. If the INSERT is refused,
// PostgreSQL passes over the COMMIT, and the transaction is still there, failed,
// to be rolled back. If it is the COMMIT, the transaction has ended. If the
// connection is lost, one cannot tell: both have been sent.
func (t *transaction) Commit() error {
	if err := t.trips.Committing(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	if len(t.rows) == 0 {
		return t.begun.Commit()
	}
	var batch pgx.Batch
	query, args := insertStatement(t.scope, t.rows)
	batch.Queue(query, args...)
	batch.Queue("commit")
	results := t.native.SendBatch(t.ctx, &batch)
	_, err := results.Exec()
	if err != nil {
		_ = results.Close() // which repeats the error
		if !t.native.IsClosed() && t.native.PgConn().TxStatus() != 'I' {
			err = &notCommittedError{err} // also if it is pgx that has refused
		}
		t.end()
		return fmt.Errorf("insert %d events into the outbox: %w", len(t.rows), explainSchema(err))
	}
	tag, err := results.Exec()
	if err = cmp.Or(err, results.Close()); err != nil {
		t.end()
		return err
	}
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback implements [driver.Tx].
func (t *transaction) Rollback() error {
	t.trips.Ended()
	return t.begun.Rollback()
}

// notCommittedError is what stood in the way of a COMMIT that the server has not
// done, as the transaction shows that is still there.
type notCommittedError struct{ error }

func (e *notCommittedError) Unwrap() error { return e.error }

// end rolls back what a failed round trip has left open. A connection with
// which that does not work is closed, which rolls back, too.
func (t *transaction) end() {
	if t.native.IsClosed() || t.native.PgConn().TxStatus() == 'I' {
		return
	}
	if _, err := t.native.Exec(t.ctx, "rollback"); err != nil {
		_ = t.native.Close(t.ctx)
	}
}
