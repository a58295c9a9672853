package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// Produce sends events to Kafka without a transaction and returns when the
// brokers have acknowledged all of them (acks=all). Their order per key is
// that of the arguments. On an error some may have been sent: errors.As finds
// a *[ProduceError] for each that was not acknowledged, with its topic and key.
//
// ctx is the only limit: while the brokers are away, Produce waits. When ctx ends
// it returns at once; events that were on their way by then may be written all
// the same, those that were not are not. So what an event's Marshal has returned
// must not be changed afterwards.
//
// Topics that do not exist are created. method is a label of the metrics,
// usually ProduceImmediate.
func (l *Library[ID, TX, DB]) Produce(ctx context.Context, method eventmodels.ProduceMethod, events ...eventmodels.ProducingEvent) error {
	switch method {
	case eventmodels.ProduceImmediate, eventmodels.ProduceInTransaction, eventmodels.ProduceCatchUp:
	default:
		return fmt.Errorf("produce: unknown method %q; use eventmodels.ProduceImmediate", method)
	}
	client, err := l.kafkaClient()
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	if len(events) == 0 {
		return nil
	}
	out := outgoings.Get().(*outgoing)
	defer out.recycle()
	out.at = time.Now()
	for _, event := range events {
		if err := l.add(out, event); err != nil {
			return fmt.Errorf("produce: %w", err)
		}
	}
	end := l.settings.tracing.Send(ctx, out.spans(l.settings.tracing != nil))
	err = l.send(ctx, client, out)
	end(err)
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	out.count(method)
	return nil
}

// send makes sure that the topics exist and hands the events to Kafka.
func (l *LibraryNoDB) send(ctx context.Context, client *kafka.Client, out *outgoing) error {
	var unsure []string
	for _, t := range out.topics {
		if !client.TopicEnsured(t.wire) {
			unsure = append(unsure, t.name)
		}
	}
	if len(unsure) > 0 {
		if err := l.ensureTopics(ctx, client, unsure); err != nil {
			return err
		}
	}
	return l.unprefixed(client.Produce(ctx, out.finish()))
}

// producedTopic is a topic that may be produced to.
type producedTopic struct {
	name string
	wire kafka.WireTopic
}

// producedTopics are those that were looked at before: checking a name takes
// longer than encoding an event.
type producedTopics struct {
	mu     sync.RWMutex
	topics map[string]*producedTopic
}

// producedTopic returns the topic, or why it cannot be produced to.
func (l *LibraryNoDB) producedTopic(name string) (*producedTopic, error) {
	l.produced.mu.RLock()
	t := l.produced.topics[name]
	l.produced.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	if err := l.checkTopic(name, ""); err != nil {
		return nil, err
	}
	if l.mustRegister {
		if _, ok := l.settings.topics[name]; !ok {
			return nil, &UnregisteredTopicsError{Topics: []string{name}}
		}
	}
	l.produced.mu.Lock()
	defer l.produced.mu.Unlock()
	if l.produced.topics == nil {
		l.produced.topics = make(map[string]*producedTopic)
	}
	if t = l.produced.topics[name]; t == nil { // there is one, so that its address names it
		t = &producedTopic{name: name, wire: l.wireTopic(name)}
		l.produced.topics[name] = t
	}
	return t, nil
}

// encode checks and encodes an event, without network. id is the one that was
// made for it.
func (l *LibraryNoDB) encode(event eventmodels.ProducingEvent, with *cloudevents.Encoder, now time.Time) (t *producedTopic, e cloudevents.Encoded, id uuid.UUID, err error) {
	if isNil(event) {
		return nil, e, id, &eventmodels.InvalidEventError{Reason: "the event is nil"}
	}
	if t, err = l.producedTopic(event.GetTopic()); err != nil {
		return nil, e, id, err
	}
	id = cloudevents.NewID(now)
	e, err = with.Encode(event, cloudevents.Defaults{ID: id, Source: l.source, Now: now})
	return t, e, id, err
}

// encodeOutbox makes the outbox row of an event.
func (l *LibraryNoDB) encodeOutbox(ctx context.Context, event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	// The event may be produced before anything else has used the library.
	client, err := l.kafkaClient()
	if err != nil {
		return eventmodels.OutboxRow{}, err
	}
	now := time.Now()
	var encoder cloudevents.Encoder
	t, encoded, id, err := l.encode(event, &encoder, now)
	if err != nil {
		return eventmodels.OutboxRow{}, err
	}
	if own, err := uuid.Parse(encoded.ID); err == nil && own.Version() == 7 {
		id = own
	}
	if l.settings.tracing != nil {
		encoded.Headers = l.settings.tracing.Create(ctx, string(t.wire), cmp.Or(encoded.ID, id.String()), encoded.Headers)
	}
	row := eventmodels.OutboxRow{
		ID:        id,
		Topic:     string(t.wire),
		Key:       encoded.Key,
		Headers:   recordbatch.AppendHeaders(nil, encoded.Headers),
		Payload:   encoded.Payload,
		CreatedAt: now,
	}
	limit, known := client.CachedLimit(t.wire)
	if !known {
		limit = l.assumedLimit()
	}
	// As a batch of its own, exactly: what is just not too big is let through.
	size := recordbatch.BatchSize([]recordbatch.Record{{Key: row.Key, Value: row.Payload, RawHeaders: row.Headers, Timestamp: row.CreatedAt}})
	if size > limit {
		if !known || client.LimitIsOld(t.wire) {
			// The topic may take more. Nothing of this event comes to Kafka, where
			// that would be learnt: without the question every attempt would fail.
			l.askLimit(client, t.wire)
		}
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
	// topic's max.message.bytes, both in bytes. In a transaction, where the
	// brokers are not waited for, Limit is Kafka's default, 1,048,588, if the
	// topic's own is not known yet; it is asked for then, for the next attempt.
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
		if refused := refusal(cause); refused != nil {
			cause = refused
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
