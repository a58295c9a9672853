package eventdb

import (
	"context"
	"database/sql"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Dialect is the seam to a database: single statements in a transaction that
// somebody else began, and what the database's errors mean. Implementations
// are stateless, and safe for use by many goroutines.
type Dialect interface {
	// InsertOutbox inserts rows so that their seqs ascend in this order. If
	// the database can prove that a transaction has ended, the transaction
	// has its id before it draws the first seq. Any number of rows, at least
	// one.
	InsertOutbox(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error

	// InsertMarks inserts marks, which ascend and are distinct, and returns
	// those that were not there before. It waits for other transactions that
	// have inserted one of them and are not yet over.
	InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) ([]eventmodels.Mark, error)

	// LockKeys takes locks until the end of the transaction, one per bucket,
	// in this (ascending) order. Buckets are from 0 to [KeyBuckets]-1.
	LockKeys(ctx context.Context, tx eventmodels.AbstractTX, scope string, buckets []int) error

	// OnceOptions are the options of exactly-once transactions: READ
	// COMMITTED where the database knows levels.
	OnceOptions() *sql.TxOptions

	// Fault says whose fault an error of a statement is.
	Fault(err error) eventmodels.Fault

	// CommitRefused says whether err, an error of COMMIT, proves that the
	// transaction has not taken effect.
	CommitRefused(err error) bool

	// Transaction returns what ProduceTx was given as an AbstractTX, or an
	// error that names the types it may be.
	Transaction(tx any) (eventmodels.AbstractTX, error)

	// OpenOutbox opens the relay's own connections.
	OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error)

	// MaxConnections is the limit of the pool that transactions come from; 0
	// if there is none.
	MaxConnections() int
}

// Outlaster is implemented by a [Dialect] whose server shows commits before they
// are durable, although COMMIT waits until they are.
type Outlaster interface {
	// Outlast makes tx a transaction that has changed something, so that after
	// its COMMIT everything lasts that it has seen.
	Outlast(ctx context.Context, tx eventmodels.AbstractTX) error
}

// KeyBuckets is the number of locks that WithKeyLocks spreads keys over.
const KeyBuckets = 256
