package eventmodels

import "time"

// Event is what a handler receives: the decoded payload and everything that
// is known about the message that carried it. The attributes have the names
// of CloudEvents 1.0; those that the producer did not set are empty.
//
// Data, Headers and, where several handlers share an event, what Payload
// points to are read-only.
type Event[E any] struct {
	// Topic is the application's name of the topic, without prefix.
	Topic string
	// Key is the record's key; "" also for a record without key.
	Key string
	// Data is the payload as it was received. Of an event in the structured
	// mode (its attributes and data in one JSON envelope) it is the data, also
	// where only the envelope itself says that it is one: it has all of
	// specversion, id, source and type, and the record has no attributes.
	Data []byte
	// Payload is Data decoded by the codec of ContentType.
	Payload E
	// Headers are the record's headers, without those that carry the
	// CloudEvents attributes above; extension attributes are there under
	// their header's name ("ce_…").
	Headers map[string][]string
	// Timestamp is when the event happened (ce_time), or the record's
	// timestamp if the producer did not say.
	Timestamp time.Time
	// ID identifies the event together with Source.
	ID          string
	ContentType string
	Subject     string
	Type        string
	Source      string
	SpecVersion string
	DataSchema  string
	// ConsumerGroup is the group that consumes, "" for a broadcast.
	ConsumerGroup string
	// HandlerName is the name under which the handler was registered.
	HandlerName string
	// BaseTopic is the topic the event was first produced to. It differs
	// from Topic for a dead letter.
	BaseTopic string

	// Attempt counts the deliveries of this event to this handler in this
	// process, from 1. Attempts that failed because a server was away are
	// not counted.
	Attempt int
	// Partition and Offset say where in the topic the record lies.
	Partition int32
	Offset    int64
}

// Message is an event before its payload is decoded: what the library hands
// to a [HandlerInterface]. Fields are those of [Event]. The bytes of Data are
// also those of the topic's other handlers: they may be kept, but not changed.
type Message struct {
	Topic         string
	Key           string
	Data          []byte
	Headers       map[string][]string
	Timestamp     time.Time
	ID            string
	ContentType   string
	Subject       string
	Type          string
	Source        string
	SpecVersion   string
	DataSchema    string
	ConsumerGroup string
	HandlerName   string
	BaseTopic     string
	Attempt       int
	Partition     int32
	Offset        int64

	// shared is nil for a message of one handler alone.
	shared *sharedPayload
}

// decodeMessage makes the typed event of a message.
func decodeMessage[E any](m *Message) (Event[E], error) {
	payload, err := payloadOf[E](m)
	if err != nil {
		return Event[E]{}, err
	}
	return Event[E]{
		Topic:         m.Topic,
		Key:           m.Key,
		Data:          m.Data,
		Payload:       *payload,
		Headers:       m.Headers,
		Timestamp:     m.Timestamp,
		ID:            m.ID,
		ContentType:   m.ContentType,
		Subject:       m.Subject,
		Type:          m.Type,
		Source:        m.Source,
		SpecVersion:   m.SpecVersion,
		DataSchema:    m.DataSchema,
		ConsumerGroup: m.ConsumerGroup,
		HandlerName:   m.HandlerName,
		BaseTopic:     m.BaseTopic,
		Attempt:       m.Attempt,
		Partition:     m.Partition,
		Offset:        m.Offset,
	}, nil
}
