package eventdb

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed46dd6f11/events/eventmodels"
)

// BasicTX is what a transaction type must have. *sql.Tx has it. To produce
// events in its transactions, a type also embeds [Pending] or has a method
//
//	GetPendingEvents() []eventmodels.ProducingEvent
//
// that returns the events to be sent if the transaction commits; it is called
// once, just before COMMIT. A type with a method Ended() bool is asked before
// COMMIT whether the transaction was ended behind the library's back.
type BasicTX interface {
	eventmodels.AbstractTX
	Commit() error
	Rollback() error
}

// BasicDB begins transactions. *sql.DB is a BasicDB[*sql.Tx].
type BasicDB[TX BasicTX] interface {
	eventmodels.AbstractTX
	// BeginTx begins a transaction with these options; nil means the
	// database's defaults. When ctx ends, the transaction may be rolled back.
	BeginTx(ctx context.Context, opts *sql.TxOptions) (TX, error)
}

var _ BasicDB[*sql.Tx] = (*sql.DB)(nil)

// ExampleBasicDB shows the whole of what a service needs to bring a
// transaction type of its own: a *sql.DB whose transactions are
// *ExampleBasicTX.
type ExampleBasicDB struct{ *sql.DB }

// ExampleBasicTX is a *sql.Tx that can produce events.
type ExampleBasicTX struct {
	*sql.Tx
	Pending
}

var (
	_ BasicDB[*ExampleBasicTX] = ExampleBasicDB{}
	_ eventmodels.EnhancedTX   = (*ExampleBasicTX)(nil)
)

// Commit is that of *sql.Tx, and refuses to lose events that were produced
// without Transact: see [Pending.Unstored].
func (tx *ExampleBasicTX) Commit() error {
	if err := tx.Unstored(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Tx.Commit()
}

// BeginTx implements [BasicDB].
func (db ExampleBasicDB) BeginTx(ctx context.Context, opts *sql.TxOptions) (*ExampleBasicTX, error) {
	tx, err := db.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &ExampleBasicTX{Tx: tx}, nil
}
