package eventmysql

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
// transaction.
//
// After a deadlock the server has rolled the transaction back and is in none,
// and each statement that came then would take effect by itself; after a lock
// timeout (also that of NOWAIT) a part of the transaction would be committed.
// Therefore Tx rolls back after such an error and refuses every further
// statement; Transact returns the error, with which an event is tried again.
// Where the error comes with the rows of a query that takes locks (Rows.Err,
// Row.Scan), return it: Tx does not see it. If a deadlock is ignored there,
// Transact still rolls back what came after it, and returns
// [eventmodels.ErrTransactionEnded].
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
	*mysqldb.Transaction
	eventdb.Pending
}

var (
	_ eventdb.BasicTX        = (*Tx)(nil)
	_ eventmodels.EnhancedTX = (*Tx)(nil)
)

// savepoint is there for as long as the transaction.
const savepoint = "events_transaction"

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
	tx, err := mysqldb.Begin(ctx, p.DB, opts, savepoint)
	if err != nil {
		return nil, err
	}
	return &Tx{Transaction: tx}, nil
}
