package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Unknown is the topic whose events are wrong.
const Unknown = "unknown"

// ErrUnknownTopic is the error of events of the topic [Unknown].
var ErrUnknownTopic = errors.New("topic is not registered")

type event struct {
	topic, key string
	payload    []byte
}

// Event makes an event for a [Producer].
func Event(topic, key string, payload []byte) eventmodels.ProducingEvent {
	return event{topic, key, payload}
}

func (e event) GetKey() string                  { return e.key }
func (e event) GetTimestamp() time.Time         { return time.Time{} }
func (e event) GetTopic() string                { return e.topic }
func (e event) GetHeaders() map[string][]string { return nil }

// Producer is a Library as far as a database needs one. Its fields may be read
// when nothing runs.
type Producer[ID eventmodels.AbstractID[ID]] struct {
	mu       sync.Mutex
	Produced map[string][]ID // by topic
	Recorded []error
	Err      error // of ProduceFromTable; set before
}

// EncodeOutbox implements [eventmodels.Producer].
func (p *Producer[ID]) EncodeOutbox(_ context.Context, e eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	if e.GetTopic() == Unknown {
		return eventmodels.OutboxRow{}, ErrUnknownTopic
	}
	row := NewRow(Scope + e.GetTopic())
	row.Payload = e.(event).payload
	if e.GetKey() != "" {
		row.Key = []byte(e.GetKey())
	}
	return row, nil
}

// ProduceFromTable implements [eventmodels.Producer].
func (p *Producer[ID]) ProduceFromTable(_ context.Context, ids map[string][]ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Produced == nil {
		p.Produced = make(map[string][]ID)
	}
	for topic, ids := range ids {
		p.Produced[topic] = append(p.Produced[topic], ids...)
	}
	return p.Err
}

// TopicOf implements [eventmodels.Producer].
func (p *Producer[ID]) TopicOf(wireTopic string) string { return strings.TrimPrefix(wireTopic, Scope) }

// Scope implements [eventmodels.Producer].
func (p *Producer[ID]) Scope() string { return Scope }

// RecordErrorNoWait implements [eventmodels.Producer].
func (p *Producer[ID]) RecordErrorNoWait(_ string, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Recorded = append(p.Recorded, err)
	return err
}
