package eventmodels

import (
	"context"
	"database/sql"
)

// AbstractTX is the part of an SQL transaction that the library uses:
// *sql.Tx has it, and so does every transaction type built on it.
type AbstractTX interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// EnhancedTX is a transaction in which events can be produced.
type EnhancedTX interface {
	AbstractTX
	// Produce adds events to the transaction: they reach Kafka if and only
	// if it commits. They are encoded and checked at once, without network;
	// what is wrong with one (unregistered topic, too large, cannot be
	// encoded) makes the transaction fail with that error at its end.
	Produce(events ...ProducingEvent)
}

// CanTransact runs functions in transactions.
type CanTransact[TX AbstractTX] interface {
	// Transact runs fn in a transaction and commits it if fn returns nil;
	// else, and if fn panics, it rolls back. A nil result means that the
	// data and the events that fn produced are durable. See
	// [ErrCommitUnknown] and [ErrTransactionEnded].
	Transact(ctx context.Context, fn func(TX) error) error
}

// CanAugment is what Configure uses to connect a database with its Library.
type CanAugment[ID AbstractID[ID]] interface {
	// AugmentWithProducer makes transactions of the receiver produce events
	// through producer. It is called once, before the Library runs.
	AugmentWithProducer(producer Producer[ID])
}

// Producer is what a [AbstractDB] needs from its Library. It does not wait
// for Kafka except in ProduceFromTable.
type Producer[ID AbstractID[ID]] interface {
	// EncodeOutbox makes the outbox row of an event: it checks topic and
	// size with what is cached, and encodes. Seq is left 0. The trace that
	// the event belongs to is ctx's.
	EncodeOutbox(ctx context.Context, event ProducingEvent) (OutboxRow, error)
	// ProduceFromTable is called after the commit of a transaction with
	// outbox rows: their ids by (unprefixed) topic. Its error is logged.
	ProduceFromTable(ctx context.Context, ids map[string][]ID) error
	// TopicOf returns the application's name of a wire topic.
	TopicOf(wireTopic string) string
	// Scope is the outbox's scope: the library's prefix.
	Scope() string
	// RecordErrorNoWait logs and counts an error that has nobody to go to.
	RecordErrorNoWait(category string, err error) error
}

// AbstractDB is a database as a [Library] uses it. Only the library calls it;
// the packages eventpg, eventmysql, events2 and eventsqlite have implementations,
// all made of the package eventdb.
//
// All methods may be called by many goroutines at once, and return as soon as
// ctx ends.
//
// [Library]: https://pkg.go.dev/github.com/seed46dd6f11/events#Library
type AbstractDB[ID AbstractID[ID], TX AbstractTX] interface {
	CanTransact[TX]
	CanAugment[ID]

	// ProduceTx inserts events into the outbox in a transaction that the
	// application owns (tx: what the backend documents). They are sent after
	// its commit.
	ProduceTx(ctx context.Context, tx any, events ...ProducingEvent) error

	// TransactOnce runs fn in one READ COMMITTED transaction in which marks
	// were inserted first; fresh says, mark by mark, which were new (of two
	// equal marks the first). fn is not called if none is new. fn's effects,
	// the marks and the events it produced commit together or not at all.
	TransactOnce(ctx context.Context, marks []Mark, fn func(tx TX, fresh []bool) error) error

	// OpenOutbox opens connections of their own for the relay and the
	// maintenance of marks. The caller closes the store.
	OpenOutbox(ctx context.Context) (OutboxStore, error)

	// Ping asks the database whether it answers.
	Ping(ctx context.Context) error

	// Fault says whose fault err, as returned by a statement or by one of
	// the methods above, is.
	Fault(err error) Fault

	// MaxConnections is the limit of the pool that transactions come from;
	// 0 if there is none.
	MaxConnections() int
}

// Mark identifies that a handler has done an event: the first 16 bytes of
// SHA-256 over the length-prefixed (prefix, group, handler, base topic,
// source, event id).
type Mark [16]byte

// Fault says whose fault an error is.
type Fault int

const (
	// FaultEvent is the fault of the event or its handler, and of all that is
	// not known to be another's: it counts as an attempt.
	FaultEvent Fault = iota
	// FaultConflict is a serialization failure, a deadlock or a bounded wait
	// for a lock: the transaction was rolled back and can be tried again.
	FaultConflict
	// FaultAway says that the database does not answer or has no resources:
	// nothing is counted against the event.
	FaultAway
)

// String returns the constant's name without its prefix.
func (f Fault) String() string {
	switch f {
	case FaultConflict:
		return "Conflict"
	case FaultAway:
		return "Away"
	}
	return "Event"
}

// Tracer takes a printf-style log line.
type Tracer interface {
	Logf(format string, args ...any)
}

// LibraryInterface is the part of a Library that does not depend on its type
// parameters, for code that is handed one.
type LibraryInterface interface {
	Produce(ctx context.Context, method ProduceMethod, events ...ProducingEvent) error
	IsConfigured() bool
	HasDB() bool
	InstanceID() int32
	Tracer() Tracer
	RecordError(category string, err error) error
	RecordErrorNoWait(category string, err error) error
}
