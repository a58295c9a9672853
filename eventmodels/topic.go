package eventmodels

import (
	"context"
	"fmt"
)

// BoundTopic ties a topic to the Go type of its payload. It is a small value;
// declare it once, usually as a package variable, and use it to make events
// and handlers.
type BoundTopic[E any] struct {
	topic string
}

// BindTopic binds the topic called name (without prefix) to payloads of type
// E. The name is checked when it is used.
func BindTopic[E any](name string) BoundTopic[E] { return BoundTopic[E]{topic: name} }

// Topic returns the name of the topic, without prefix.
func (t BoundTopic[E]) Topic() string { return t.topic }

// Event makes an event with this key and payload. Events of one key keep
// their order; see [ProducingEvent].
func (t BoundTopic[E]) Event(key string, model E) SimpleEvent {
	return SimpleEvent{topic: t.topic, key: key, model: model}
}

// Handler makes a handler that gets one event at a time. It panics if handle is
// nil, and so do the other methods that make handlers.
func (t BoundTopic[E]) Handler(handle func(context.Context, Event[E]) error) HandlerInterface {
	if handle == nil {
		panic(noFunction(t.topic))
	}
	return &handler[E]{topic: t.topic, handle: handle}
}

// BatchHandler makes a handler that gets the events that have queued up while
// it was busy, up to the batch size. See [BatchError] for saying which of
// them failed.
func (t BoundTopic[E]) BatchHandler(handle func(context.Context, []Event[E]) error) BatchHandlerInterface {
	if handle == nil {
		panic(noFunction(t.topic))
	}
	return &batchHandler[E]{topic: t.topic, handle: handle}
}

// BoundTopicTx is a [BoundTopic] that also makes handlers that run inside a
// transaction of the type TX. Every database package offers a shorter name
// for it.
type BoundTopicTx[E any, ID AbstractID[ID], TX AbstractTX, DB AbstractDB[ID, TX]] struct {
	BoundTopic[E]
}

// BindTopicTx binds a topic like [BindTopic].
func BindTopicTx[E any, ID AbstractID[ID], TX AbstractTX, DB AbstractDB[ID, TX]](name string) BoundTopicTx[E, ID, TX, DB] {
	return BoundTopicTx[E, ID, TX, DB]{BoundTopic: BindTopic[E](name)}
}

// HandlerTx makes an exactly-once handler that gets one event at a time. What
// it does with tx, and the events that it produces with tx, take effect once
// per event or not at all. It must not commit or roll back tx.
func (t BoundTopicTx[E, ID, TX, DB]) HandlerTx(handle func(context.Context, TX, Event[E]) error) HandlerTxInterface[ID, TX] {
	if handle == nil {
		panic(noFunction(t.topic))
	}
	return &handlerTx[E, ID, TX]{topic: t.topic, handle: handle}
}

// BatchHandlerTx makes an exactly-once handler that gets several events in
// one transaction.
func (t BoundTopicTx[E, ID, TX, DB]) BatchHandlerTx(handle func(context.Context, TX, []Event[E]) error) BatchHandlerTxInterface[ID, TX] {
	if handle == nil {
		panic(noFunction(t.topic))
	}
	return &batchHandlerTx[E, ID, TX]{topic: t.topic, handle: handle}
}

// noFunction is what the registration of a handler without function panics with:
// every event of the topic would make the handler panic.
func noFunction(topic string) string {
	return fmt.Sprintf("eventmodels: the function of a handler of topic %q is nil", topic)
}
