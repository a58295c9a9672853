package eventnodb

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// ID is the type of ids that nothing is given.
type ID = eventmodels.StringEventID

// NoDB is a database that is not there. The Library is given a nil one; the
// methods, of a nil NoDB too, return an error that is (errors.Is)
// [events.ErrNoDatabase] and [eventmodels.NotImplementedErr].
type NoDB struct{}

// NoDBTx is a transaction of a database that is not there. Its methods return
// an error that is (errors.Is) [events.ErrNoDatabase] and
// [eventmodels.NotImplementedErr].
type NoDBTx struct{}

var (
	_ eventmodels.AbstractDB[ID, *NoDBTx] = (*NoDB)(nil)
	_ eventmodels.AbstractTX              = (*NoDBTx)(nil)
)

// refused is the error of what needs a database.
func refused(what string) error {
	return fmt.Errorf("eventnodb: %s: %w: %w", what, events.ErrNoDatabase, eventmodels.NotImplementedErr)
}

// Transact implements [eventmodels.CanTransact]; fn is not called.
func (*NoDB) Transact(context.Context, func(*NoDBTx) error) error { return refused("Transact") }

// AugmentWithProducer implements [eventmodels.CanAugment]. It has nothing to
// do: no transaction can produce.
func (*NoDB) AugmentWithProducer(eventmodels.Producer[ID]) {}

// ProduceTx implements [eventmodels.AbstractDB].
func (*NoDB) ProduceTx(context.Context, any, ...eventmodels.ProducingEvent) error {
	return refused("ProduceTx")
}

// TransactOnce implements [eventmodels.AbstractDB]; fn is not called.
func (*NoDB) TransactOnce(context.Context, []eventmodels.Mark, func(*NoDBTx, []bool) error) error {
	return refused("TransactOnce")
}

// OpenOutbox implements [eventmodels.AbstractDB].
func (*NoDB) OpenOutbox(context.Context) (eventmodels.OutboxStore, error) {
	return nil, refused("OpenOutbox")
}

// Ping implements [eventmodels.AbstractDB]. It returns nil: a database that
// is not there is not away either, and holds no verdict up.
func (*NoDB) Ping(context.Context) error { return nil }

// Fault implements [eventmodels.AbstractDB]: no error is a database's.
func (*NoDB) Fault(error) eventmodels.Fault { return eventmodels.FaultEvent }

// MaxConnections implements [eventmodels.AbstractDB].
func (*NoDB) MaxConnections() int { return 0 }

// ExecContext implements [eventmodels.AbstractTX].
func (*NoDBTx) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, refused("ExecContext")
}

// QueryContext implements [eventmodels.AbstractTX].
func (*NoDBTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, refused("QueryContext")
}

// QueryRowContext implements [eventmodels.AbstractTX]; the error is that of
// the row's Scan.
func (*NoDBTx) QueryRowContext(ctx context.Context, query string, _ ...any) *sql.Row {
	// Only a database can make a sql.Row.
	db := sql.OpenDB(noConnector{})
	defer db.Close()
	return db.QueryRowContext(ctx, query)
}
