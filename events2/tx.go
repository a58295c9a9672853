package events2

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// Tx is a transaction in which events can be produced. It has the methods of a
// *sql.Tx, and is one in its field Tx, for code that wants one. Statements are
// better run by the methods of Tx itself: they notice what ends the
// transaction. After a lock timeout, which is also how a deadlock ends, Tx rolls
// back and refuses every further statement, since a COMMIT would keep the
// others; Transact returns the error, with which an event is tried again.
//
// End it by returning from the function given to Transact, and by nothing
// else. A COMMIT or ROLLBACK in SQL goes unnoticed here, and so does a statement
// that commits implicitly (CREATE, ALTER, DROP, TRUNCATE and others): what comes
// after it takes effect statement by statement, the events too.
type Tx struct {
	*mysqldb.Transaction
	eventdb.Pending
}

var (
	_ eventdb.BasicTX        = (*Tx)(nil)
	_ eventmodels.EnhancedTX = (*Tx)(nil)
)

// Commit commits, unless the library's Transact does, and gives the connection
// back. Events that were produced without Transact would be lost: it then rolls
// back, and the error is [eventmodels.ErrTransactionEnded]. After an error it
// is not used again.
func (tx *Tx) Commit() error {
	if err := tx.Unstored(); err != nil {
		return errors.Join(err, tx.Transaction.Rollback())
	}
	return tx.Transaction.Commit()
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
	tx, err := mysqldb.Begin(ctx, p.DB, opts, "")
	if err != nil {
		return nil, err
	}
	return &Tx{Transaction: tx}, nil
}
