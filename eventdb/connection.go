package eventdb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Settings are a backend's choices.
type Settings struct {
	// KeyLocks makes the order of commits per key hold for transactions that
	// have no row lock in common: each takes locks of its events' keys
	// before it inserts them. Off by default.
	KeyLocks bool
	// MarkWait bounds how long an exactly-once delivery waits for another
	// one of the same event; then it is tried again later. Default 10 s.
	MarkWait time.Duration
}

// DefaultMarkWait is the default of [Settings].MarkWait.
const DefaultMarkWait = 10 * time.Second

// Connection is a database of type DB, with transactions of type TX, as a
// Library uses it. Backends embed it.
type Connection[ID eventmodels.AbstractID[ID], TX BasicTX, DB BasicDB[TX]] struct {
	db       DB
	dialect  Dialect
	settings Settings
	producer atomic.Pointer[producerOf[ID]] // set once, by Configure
}

type producerOf[ID eventmodels.AbstractID[ID]] struct{ eventmodels.Producer[ID] }

// NewConnection is for backends.
func NewConnection[ID eventmodels.AbstractID[ID], TX BasicTX, DB BasicDB[TX]](db DB, dialect Dialect, settings Settings) *Connection[ID, TX, DB] {
	if settings.MarkWait <= 0 {
		settings.MarkWait = DefaultMarkWait
	}
	return &Connection[ID, TX, DB]{db: db, dialect: dialect, settings: settings}
}

// Unwrap returns the database that the connection was made of.
func (c *Connection[ID, TX, DB]) Unwrap() DB { return c.db }

// AugmentWithProducer implements [eventmodels.CanAugment]. It panics if the
// connection already belongs to another Library: each needs its own, since
// the prefix and the topics of one are not those of the other.
func (c *Connection[ID, TX, DB]) AugmentWithProducer(producer eventmodels.Producer[ID]) {
	if !c.producer.CompareAndSwap(nil, &producerOf[ID]{producer}) {
		panic("this database connection is already connected to a Library; wrap the database once per Library")
	}
}

// Ping implements [eventmodels.AbstractDB].
func (c *Connection[ID, TX, DB]) Ping(ctx context.Context) error {
	var one int
	return c.db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// Fault implements [eventmodels.AbstractDB].
func (c *Connection[ID, TX, DB]) Fault(err error) eventmodels.Fault {
	if errors.Is(err, errMarkBusy) {
		return eventmodels.FaultConflict
	}
	if errors.Is(err, eventmodels.ErrCommitUnknown) {
		return eventmodels.FaultAway
	}
	return c.dialect.Fault(err)
}

// OpenOutbox implements [eventmodels.AbstractDB].
func (c *Connection[ID, TX, DB]) OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error) {
	return c.dialect.OpenOutbox(ctx)
}

// MaxConnections implements [eventmodels.AbstractDB].
func (c *Connection[ID, TX, DB]) MaxConnections() int { return c.dialect.MaxConnections() }

// ProduceTx implements [eventmodels.AbstractDB]: the rows are inserted at
// once. Their order is that of the calls, so a transaction that needs the
// order of commits takes its row locks first.
func (c *Connection[ID, TX, DB]) ProduceTx(ctx context.Context, tx any, events ...eventmodels.ProducingEvent) error {
	producer := c.producer.Load()
	if producer == nil {
		return eventmodels.ErrNotConnected
	}
	abstract, err := c.dialect.Transaction(tx)
	if err != nil {
		return err
	}
	rows, err := encodeAll(ctx, producer, events)
	if err != nil {
		return err
	}
	return c.insert(ctx, abstract, &RoundTrips{}, producer.Scope(), rows)
}

// insert adds rows to the outbox, in order, after the locks of their keys if
// those are asked for; with the COMMIT if trips take them along.
func (c *Connection[ID, TX, DB]) insert(ctx context.Context, tx eventmodels.AbstractTX, trips *RoundTrips, scope string, rows []eventmodels.OutboxRow) (err error) {
	if len(rows) == 0 {
		return nil
	}
	if c.settings.KeyLocks {
		if err := c.dialect.LockKeys(ctx, tx, scope, keyBuckets(rows)); err != nil {
			return fmt.Errorf("lock the keys of %d events: %w", len(rows), err)
		}
	}
	carried := false
	if trips.Carry != nil && trips.live() {
		carried, err = trips.Carry(scope, rows)
	}
	if !carried && err == nil {
		err = c.dialect.InsertOutbox(ctx, tx, scope, rows)
	}
	if err != nil {
		return fmt.Errorf("insert %d events into the outbox: %w", len(rows), err)
	}
	return nil
}

// keyBuckets returns the buckets of the rows' keys, ascending and distinct,
// so that two transactions never wait for each other. Rows without key have
// no order and need no lock.
func keyBuckets(rows []eventmodels.OutboxRow) []int {
	var buckets []int
	for i := range rows {
		if rows[i].Key == nil {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(rows[i].Topic))
		h.Write([]byte{0}) // a topic's name holds no NUL
		h.Write(rows[i].Key)
		buckets = append(buckets, int(h.Sum32()%KeyBuckets))
	}
	slices.Sort(buckets)
	return slices.Compact(buckets)
}
