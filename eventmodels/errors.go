package eventmodels

import (
	"fmt"

	"github.com/memsql/errors"
)

const (
	// ErrDecode is (errors.Is) the error of an event whose payload does not
	// fit its topic's type. The event follows its handler's OnFailure without
	// being tried again, unless the codec's error says otherwise (see
	// [Codec]). See [DecodeError].
	ErrDecode errors.String = "event cannot be decoded"
	// ErrAlreadyProcessed says that an exactly-once handler has handled the
	// event before.
	ErrAlreadyProcessed errors.String = "event has already been processed"
	// TimeoutErr is (errors.Is) the error of a handler that has used up its
	// timeout.
	TimeoutErr errors.String = "handler timeout used up"
	// NotImplementedErr is the error of what a backend cannot do, such as
	// transactions without a database.
	NotImplementedErr errors.String = "not implemented by this backend"

	// ErrNotConnected says that a transaction has produced events before its
	// database was given to a Library with Configure.
	ErrNotConnected errors.String = "the database connection is not connected to a Library; call Library.Configure with it first"
	// ErrCommitUnknown says that the connection was lost during COMMIT: the
	// transaction, and with it its events, may have taken effect or not.
	// Look at the data before trying again.
	ErrCommitUnknown errors.String = "the connection was lost during COMMIT; whether the transaction took effect is unknown"
	// ErrTransactionEnded says that the transaction was ended, with SQL or with
	// its methods, before the library could add its events: they are not sent.
	ErrTransactionEnded errors.String = "the transaction was ended before its events were stored, which only Transact does; return from the function given to Transact, and end it by nothing else"
	// ErrLeaseLost says that another process holds the relay's lease now.
	ErrLeaseLost errors.String = "the relay's lease is held by another process"
)

// DecodeError says why a payload could not be decoded. Its text never quotes
// the payload; that of the error that it wraps, the codec's, may.
type DecodeError struct {
	Topic, ID, ContentType string
	// Reason says what is wrong and where.
	Reason string

	err error // the codec's, nil if none was asked
}

// Error names the event and the reason.
func (e *DecodeError) Error() string {
	event, of := "an event without id", ""
	if e.ID != "" {
		event = fmt.Sprintf("event %q", e.ID)
	}
	if e.ContentType != "" {
		of = fmt.Sprintf(" (content type %q)", e.ContentType)
	}
	return fmt.Sprintf("%s of topic %s%s cannot be decoded: %s", event, e.Topic, of, e.Reason)
}

// Is makes errors.Is(err, ErrDecode) true.
func (e *DecodeError) Is(target error) bool { return target == ErrDecode }

// Unwrap returns the codec's error, nil if there is none.
func (e *DecodeError) Unwrap() error { return e.err }

// InvalidEventError says why an event cannot be produced. Errors of the
// event's own Marshal are wrapped.
type InvalidEventError struct {
	// Topic is "" for a nil event.
	Topic  string
	Reason string
	Err    error
}

// Error names the topic and the reason.
func (e *InvalidEventError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("event for topic %q: %s: %v", e.Topic, e.Reason, e.Err)
	}
	return fmt.Sprintf("event for topic %q: %s", e.Topic, e.Reason)
}

// Unwrap returns the cause.
func (e *InvalidEventError) Unwrap() error { return e.Err }

// ClusterMismatchError says that the outbox belongs to another Kafka cluster
// than the one that the Library is connected to. If that is meant, as after a
// move to a new cluster, delete the scope's row in events_lease.
type ClusterMismatchError struct {
	Scope, Recorded, Connected string
}

// Error says what to do.
func (e *ClusterMismatchError) Error() string {
	return fmt.Sprintf("the outbox (scope %q) is relayed to Kafka cluster %q, but the configured brokers are cluster %q; nothing is sent. "+
		"Check the broker addresses; if the move is meant, delete the row of this scope in events_lease", e.Scope, e.Recorded, e.Connected)
}
