// Package eventnodb is the Library for services without a database: they
// produce immediately, and consume with idempotent and broadcast handlers.
package eventnodb

import (
	"context"
	"database/sql"

	"github.com/segmentio/kafka-go/sasl"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// NoDB is a database that is not there. A Library is given a nil one; the
// methods of a NoDB that somebody makes all the same return
// [eventmodels.NotImplementedErr].
type NoDB struct{}

// NoDBTx is a transaction of a database that is not there: its methods return
// [eventmodels.NotImplementedErr].
type NoDBTx struct{}

// ID is the type of ids that nothing is given.
type ID = eventmodels.StringEventID

var (
	_ eventmodels.AbstractDB[ID, *NoDBTx] = (*NoDB)(nil)
	_ eventmodels.AbstractTX              = (*NoDBTx)(nil)
)

// Library is a Library without database, configured with [Library.ConfigureNoDB].
type Library struct {
	*events.Library[ID, *NoDBTx, *NoDB]
}

// New makes a Library; see [events.New].
func New() *Library { return &Library{events.New[ID, *NoDBTx, *NoDB]()} }

// ConfigureNoDB is Configure without a database; see
// [events.Library.Configure].
func (l *Library) ConfigureNoDB(tracer eventmodels.Tracer, mustRegisterTopics bool, saslMechanism sasl.Mechanism, tlsConfig *events.TLSConfig, brokers []string) {
	l.Configure(nil, tracer, mustRegisterTopics, saslMechanism, tlsConfig, brokers)
}

// Transact implements [eventmodels.CanTransact]; fn is not called.
func (*NoDB) Transact(context.Context, func(*NoDBTx) error) error {
	return eventmodels.NotImplementedErr
}

// AugmentWithProducer implements [eventmodels.CanAugment] and does nothing.
func (*NoDB) AugmentWithProducer(eventmodels.Producer[ID]) {}

// ProduceTx implements [eventmodels.AbstractDB].
func (*NoDB) ProduceTx(context.Context, any, ...eventmodels.ProducingEvent) error {
	return eventmodels.NotImplementedErr
}

// TransactOnce implements [eventmodels.AbstractDB]; fn is not called.
func (*NoDB) TransactOnce(context.Context, []eventmodels.Mark, func(*NoDBTx, []bool) error) error {
	return eventmodels.NotImplementedErr
}

// OpenOutbox implements [eventmodels.AbstractDB].
func (*NoDB) OpenOutbox(context.Context) (eventmodels.OutboxStore, error) {
	return nil, eventmodels.NotImplementedErr
}

// Ping implements [eventmodels.AbstractDB].
func (*NoDB) Ping(context.Context) error { return eventmodels.NotImplementedErr }

// Fault implements [eventmodels.AbstractDB].
func (*NoDB) Fault(error) eventmodels.Fault { return eventmodels.FaultEvent }

// MaxConnections implements [eventmodels.AbstractDB].
func (*NoDB) MaxConnections() int { return 0 }

// ExecContext implements [eventmodels.AbstractTX].
func (*NoDBTx) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, eventmodels.NotImplementedErr
}

// QueryContext implements [eventmodels.AbstractTX].
func (*NoDBTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, eventmodels.NotImplementedErr
}

// QueryRowContext implements [eventmodels.AbstractTX]; the row's Scan returns
// [eventmodels.NotImplementedErr].
func (*NoDBTx) QueryRowContext(ctx context.Context, query string, _ ...any) *sql.Row {
	db := sql.OpenDB(noConnector{})
	defer db.Close()
	return db.QueryRowContext(ctx, query)
}
