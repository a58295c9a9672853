package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// defaultMaxMessageBytes is Kafka's default of max.message.bytes, taken for
// topics whose limit is not known yet.
const defaultMaxMessageBytes = 1048588

// Produce sends events to Kafka without a transaction and returns when the
// brokers have acknowledged all of them (acks=all). Their order per key is
// that of the arguments. On an error some may have been sent: errors.As finds
// a *[ProduceError] for each that was not, with its topic and key.
//
// Topics that do not exist are created. method is a label of the metrics,
// usually ProduceImmediate.
func (l *Library[ID, TX, DB]) Produce(ctx context.Context, method eventmodels.ProduceMethod, events ...eventmodels.ProducingEvent) error {
	switch method {
	case eventmodels.ProduceImmediate, eventmodels.ProduceInTransaction, eventmodels.ProduceCatchUp:
	default:
		return fmt.Errorf("produce: unknown method %q; use eventmodels.ProduceImmediate", method)
	}
	if err := l.run(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	if len(events) == 0 {
		return nil
	}
	client, err := l.kafkaClient()
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	records := make([]*kafka.Record, len(events))
	var traced []tracing.Sending
	var topics []string
	for i, event := range events {
		encoded, err := l.encode(event)
		if err != nil {
			return fmt.Errorf("produce: %w", err)
		}
		topic := event.GetTopic()
		records[i] = &kafka.Record{
			Topic: string(l.wireTopic(topic)), Key: encoded.Key, Value: encoded.Payload, Headers: encoded.Headers, Timestamp: time.Now(),
		}
		if !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
		if l.settings.tracing != nil {
			traced = append(traced, tracing.Sending{Record: records[i], ID: encoded.ID})
		}
	}
	end := l.settings.tracing.Send(ctx, traced)
	err = l.send(ctx, client, topics, records)
	end(err)
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for _, event := range events {
		ProduceTopicCounts.WithLabelValues(event.GetTopic(), string(method)).Inc()
	}
	return nil
}

// send makes sure that the topics exist and hands the records to Kafka.
func (l *LibraryNoDB) send(ctx context.Context, client *kafka.Client, topics []string, records []*kafka.Record) error {
	if err := l.ensureTopics(ctx, client, topics); err != nil {
		return err
	}
	return l.unprefixed(client.Produce(ctx, records))
}

// encode checks and encodes an event, without network.
func (l *LibraryNoDB) encode(event eventmodels.ProducingEvent) (cloudevents.Encoded, error) {
	if isNil(event) {
		return cloudevents.Encoded{}, &eventmodels.InvalidEventError{Reason: "the event is nil"}
	}
	topic := event.GetTopic()
	if err := l.checkTopic(topic, ""); err != nil {
		return cloudevents.Encoded{}, err
	}
	if l.mustRegister {
		if _, ok := l.settings.topics[topic]; !ok {
			return cloudevents.Encoded{}, &UnregisteredTopicsError{Topics: []string{topic}}
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return cloudevents.Encoded{}, fmt.Errorf("make an event id: %w", err)
	}
	return cloudevents.Encode(event, cloudevents.Defaults{ID: id, Source: l.source, Now: time.Now()})
}

// encodeOutbox makes the outbox row of an event.
func (l *LibraryNoDB) encodeOutbox(ctx context.Context, event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	// The event may be produced before anything else has used the library.
	client, err := l.kafkaClient()
	if err != nil {
		return eventmodels.OutboxRow{}, err
	}
	encoded, err := l.encode(event)
	if err != nil {
		return eventmodels.OutboxRow{}, err
	}
	id, err := uuid.Parse(encoded.ID)
	if err != nil || id.Version() != 7 {
		// The event brought its own id: the row needs one, too.
		if id, err = uuid.NewV7(); err != nil {
			return eventmodels.OutboxRow{}, fmt.Errorf("make a row id: %w", err)
		}
	}
	wire := l.wireTopic(event.GetTopic())
	encoded.Headers = l.settings.tracing.Create(ctx, string(wire), encoded.ID, encoded.Headers)
	headers := make([]recordbatch.Header, len(encoded.Headers))
	for i, h := range encoded.Headers {
		headers[i] = recordbatch.Header{Key: h.Key, Value: h.Value}
	}
	row := eventmodels.OutboxRow{
		ID:        id,
		Topic:     string(wire),
		Key:       encoded.Key,
		Headers:   recordbatch.AppendHeaders(nil, headers),
		Payload:   encoded.Payload,
		CreatedAt: time.Now(),
	}
	limit, ok := client.CachedLimit(wire)
	if !ok {
		limit = max(defaultMaxMessageBytes, l.settings.sizeFloor)
	}
	// As a batch of its own, exactly: what is just not too big is let through.
	size := recordbatch.BatchSize([]recordbatch.Record{{Key: row.Key, Value: row.Payload, RawHeaders: row.Headers, Timestamp: row.CreatedAt}})
	if size > limit {
		return eventmodels.OutboxRow{}, &TooBigError{Topic: event.GetTopic(), Size: size, Limit: limit}
	}
	return row, nil
}

// TooBigError says that an event is larger than its topic's
// max.message.bytes allows.
type TooBigError struct {
	// Topic is the application's name.
	Topic string
	// Size is what a record batch with this event alone takes, Limit the
	// topic's max.message.bytes, both in bytes.
	Size, Limit int
}

// Error says by how much, and what can be done.
func (e *TooBigError) Error() string {
	return fmt.Sprintf("event for topic %s takes %d bytes, the topic's max.message.bytes is %d; "+
		"make the event smaller (a reference instead of the data), or raise the topic's limit", e.Topic, e.Size, e.Limit)
}

// Is makes errors.Is(err, ErrTooBig) true.
func (e *TooBigError) Is(target error) bool { return target == ErrTooBig }

// ProduceError says which event could not be produced, and why.
type ProduceError struct {
	// Topic is the application's name.
	Topic, Key string
	Err        error
}

// Error names the topic.
func (e *ProduceError) Error() string {
	return fmt.Sprintf("event for topic %s was not acknowledged: %v", e.Topic, e.Err)
}

// Unwrap returns the cause.
func (e *ProduceError) Unwrap() error { return e.Err }

// unprefixed gives errors of internal/kafka the application's words.
func (l *LibraryNoDB) unprefixed(err error) error {
	if err == nil {
		return nil
	}
	var failed *kafka.ProduceError
	if !errors.As(err, &failed) {
		return err
	}
	all := make([]error, 0, len(failed.Failed))
	for _, f := range failed.Failed {
		cause := f.Err
		var big *kafka.TooBigError
		if errors.As(cause, &big) {
			cause = &TooBigError{Topic: l.topicOf(f.Topic), Size: big.Size, Limit: big.Limit}
		}
		all = append(all, &ProduceError{Topic: l.topicOf(f.Topic), Key: string(f.Key), Err: cause})
	}
	return errors.Join(all...)
}

// producerFor is the Library as its database sees it.
type producerFor[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]] struct {
	lib *Library[ID, TX, DB]
}

func (p producerFor[ID, TX, DB]) EncodeOutbox(ctx context.Context, event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	return p.lib.encodeOutbox(ctx, event)
}

func (p producerFor[ID, TX, DB]) ProduceFromTable(ctx context.Context, ids map[string][]ID) error {
	return p.lib.ProduceFromTable(ctx, ids)
}

func (p producerFor[ID, TX, DB]) TopicOf(wireTopic string) string {
	return p.lib.topicOf(kafka.WireTopic(wireTopic))
}

func (p producerFor[ID, TX, DB]) Scope() string { return p.lib.settings.prefix }

func (p producerFor[ID, TX, DB]) RecordErrorNoWait(category string, err error) error {
	return p.lib.RecordErrorNoWait(category, err)
}
