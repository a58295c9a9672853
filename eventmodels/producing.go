package eventmodels

import "time"

// ProducingEvent is an event that can be produced. [SimpleEvent], made by
// [BoundTopic.Event], is one; a type of your own needs these four methods.
// Its payload is what [SelfMarshalingEvent] returns if it is one, else the
// event itself as JSON.
type ProducingEvent interface {
	// GetKey returns the partitioning key. Events of one key keep their
	// order. With "" the record has no key: such events are spread over the
	// partitions and have no order.
	GetKey() string
	// GetTimestamp returns when the event happened. The zero time stands for
	// the time at which it is produced.
	GetTimestamp() time.Time
	// GetTopic returns the name of the topic, without prefix.
	GetTopic() string
	// GetHeaders returns headers for the record; nil means none. The names
	// of the CloudEvents attributes ("ce_id", "content-type" and so on) are
	// refused; "ce_" with another name, of letters and digits, is an extension
	// attribute.
	GetHeaders() map[string][]string
}

// SelfMarshalingEvent is a [ProducingEvent] that brings its own encoding.
// A nil encoded value makes the record a tombstone.
type SelfMarshalingEvent interface {
	ProducingEvent
	Marshal() (encoded []byte, contentType string, err error)
}

// Attributes are the CloudEvents 1.0 attributes that an event may set. Empty
// ones get their defaults: ID a new UUIDv7, Source the name of the running
// program, Type the topic's name; the others are left out.
type Attributes struct {
	ID          string
	Source      string
	Subject     string
	Type        string
	SpecVersion string
	DataSchema  string
}

// AttributedEvent is a [ProducingEvent] that sets CloudEvents attributes.
type AttributedEvent interface {
	ProducingEvent
	Attributes() Attributes
}

// ProduceMethod says on which path an event is produced; it is a label of
// the produce metrics.
type ProduceMethod string

const (
	// ProduceInTransaction is for a service that calls Produce for events of a
	// transaction of its own. The library itself does not use it: the events of
	// a transaction come out of the outbox.
	ProduceInTransaction ProduceMethod = "tx"
	// ProduceCatchUp labels events that came out of the outbox, whether the
	// relay of CatchUpProduce has sent them or the commit itself.
	ProduceCatchUp ProduceMethod = "catchUp"
	// ProduceImmediate labels events that go to Kafka without an outbox.
	ProduceImmediate ProduceMethod = "immediate"
)
