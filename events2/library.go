package events2

import (
	"context"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Library is a Library with this database; see [events.Library].
type Library = events.Library[eventmodels.BinaryEventID, *Tx, *DB]

// Topic is a topic bound to payloads of type E; see
// [eventmodels.BoundTopicTx].
type Topic[E any] = eventmodels.BoundTopicTx[E, eventmodels.BinaryEventID, *Tx, *DB]

// NewLibrary makes a Library; see [events.New].
func NewLibrary() *Library { return events.New[eventmodels.BinaryEventID, *Tx, *DB]() }

// BindTopic binds the topic called name (without prefix) to payloads of type
// E; see [eventmodels.BindTopic].
func BindTopic[E any](name string) Topic[E] {
	return eventmodels.BindTopicTx[E, eventmodels.BinaryEventID, *Tx, *DB](name)
}

// ProduceTx adds events to a transaction that the application owns, at once:
// they are sent after its commit, when the relay next looks; call
// lib.ProduceFromTable after the commit to make that at once. tx is a *sql.Tx (so
// also of GORM, sqlc, ent) or a *Tx.
func ProduceTx[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, D eventmodels.AbstractDB[ID, TX]](ctx context.Context, lib *events.Library[ID, TX, D], tx any, produced ...eventmodels.ProducingEvent) error {
	db := lib.DB()
	if db == nil {
		return events.ErrNotConfigured
	}
	return db.ProduceTx(ctx, tx, produced...)
}
