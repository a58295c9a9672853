package events

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// ConsumeBroadcast registers a handler that gets, in every running instance,
// every event that is appended to its topic after the instance has started: for
// invalidating caches. handlerName is unique among the broadcast handlers of
// the topic. Events come in parallel and in any order; a cache carries versions
// and keeps the larger.
//
// A handler that fails is tried again, with backoff, until its timeout (30 s by
// default) is used up; then the event is dropped and logged. WithRetrying(false)
// turns the retries off. See OnBroadcastGap for events that Kafka's retention
// has removed before they were read.
//
// It panics if the library runs already or if a name is illegal or taken.
func (l *Library[ID, TX, DB]) ConsumeBroadcast(handlerName string, handler eventmodels.HandlerInterface, opts ...HandlerOpt) {
	if isNil(handler) {
		panic(fmt.Sprintf("events: ConsumeBroadcast(%q): the handler is nil", handlerName))
	}
	l.register("ConsumeBroadcast", &registeredHandler{
		kind: kindBroadcast, onFailure: eventmodels.OnFailureDiscard, name: handlerName, topic: handler.Topic(),
		batches: isBatchHandler(handler), copiesMessages: copiesMessages(handler),
		bind: func() runFunc { return runPlain(handler) },
	}, opts)
}

// CanConsumeBroadcast is the part of a [Library] that broadcast notifiers need.
type CanConsumeBroadcast interface {
	ConsumeBroadcast(handlerName string, handler eventmodels.HandlerInterface, opts ...HandlerOpt)
	Tracer() eventmodels.Tracer
	InstanceID() int32
}

var (
	_ CanConsumeBroadcast          = (*anyLibrary)(nil)
	_ eventmodels.LibraryInterface = (*anyLibrary)(nil)
)

// anyLibrary is one of all Libraries, for the compiler.
type anyLibrary = Library[eventmodels.StringEventID, eventmodels.AbstractTX, eventmodels.AbstractDB[eventmodels.StringEventID, eventmodels.AbstractTX]]

// GetBroadcastConsumerGroupName returns the name of this instance in logs and
// in Kafka's client id: "<base name>-<something unique>". It is "" until
// StartConsuming has returned. (There is no consumer group of this name.)
func (l *Library[ID, TX, DB]) GetBroadcastConsumerGroupName() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broadcastName
}

// nameBroadcast gives this instance its name.
func (l *Library[ID, TX, DB]) nameBroadcast() {
	l.mu.Lock()
	defer l.mu.Unlock()
	base := l.settings.broadcastName
	if base == "" {
		base = "broadcastConsumer"
		if !l.hasDB {
			base = "broadcastLFConsumer"
		}
	}
	l.broadcastName = base + "-" + uuid.NewString()[:8]
}
