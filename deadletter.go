package events

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/backoff"
)

// deadLetterSuffix ends the names of dead-letter topics. Existing clusters
// hold letters under it.
const deadLetterSuffix = ".dead-letter"

// DeadLetterTopic returns the name, without prefix, of the topic that holds
// the dead letters of a topic and a group: "<topic>.<group>.dead-letter". It is
// created, when a handler of the group first needs it, with unlimited
// retention and room for the largest event that the topic allows; it need not
// be announced with SetTopicConfig.
func DeadLetterTopic(topic string, group ConsumerGroupName) string {
	return deadLetterName(topic, groupName(group))
}

func deadLetterName(topic, group string) string { return topic + "." + group + deadLetterSuffix }

// IsDeadLetterHandler(true) says that the handler's topic is a dead-letter
// topic (see [DeadLetterTopic]): it gets the letters, one each time an event has
// failed for good, as the event with its payload; and, in Headers, what the
// letter says: "events-letter-handler" and "events-letter-error", for example.
// It does not get the records of what was done with letters, and has no part
// in that: letters are tried again and replayed as if it were not there. Name
// the topic whose events they are with [WithBaseTopic].
//
// The default of WithQueueDepthLimit is 10 for such a handler. OnFailureSave and
// OnFailureRetryLater are a panic at registration: letters have no letters.
func IsDeadLetterHandler(is bool) HandlerOpt {
	return func(h *registeredHandler, _ *LibraryNoDB) { h.deadLetter = is }
}

// WithBaseTopic sets the BaseTopic of the events that the handler gets: the
// topic that they were first produced to, if it is not the handler's. For
// handlers of dead-letter topics, see [IsDeadLetterHandler]; without it their
// BaseTopic is what the letter says. It panics if the name is illegal.
func WithBaseTopic(topic string) HandlerOpt {
	if !LegalTopicNames.MatchString(topic) {
		panic(fmt.Sprintf("events.WithBaseTopic(%q): a name has 1 to %d of the characters [-._a-zA-Z0-9]", topic, maxName))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) { h.baseTopic = topic }
}

// SetDeadLetterBackoff sets how long a letter of a handler with
// OnFailureRetryLater waits before it is tried again: from shortest, doubling
// each time, to longest, up to a tenth of it less by chance. An error with
// eventmodels.RetryAfter says itself how long, a second at least. The default is
// 1 min to 30 min. It panics unless 0 < shortest <= longest.
func (l *LibraryNoDB) SetDeadLetterBackoff(shortest, longest time.Duration) {
	if shortest <= 0 || longest < shortest {
		panic(fmt.Sprintf("events: SetDeadLetterBackoff(%v, %v): 0 < shortest <= longest is needed", shortest, longest))
	}
	l.edit("SetDeadLetterBackoff", func(s *settings) {
		s.letterBackoff = backoff.Schedule{Min: shortest, Max: longest, Jitter: 0.1}
	})
}

// SetLetterCause replaces how failures are grouped into causes: cause gets a
// handler's name and its last error, and returns what failures of one problem
// have in common, of which up to 200 bytes are written into the letter. The
// default is a hash of the handler, the kind of the error, and its text without
// numbers, ids and quoted parts. Several goroutines call it.
func (l *LibraryNoDB) SetLetterCause(cause func(handler string, err error) string) {
	if cause == nil {
		panic("events: SetLetterCause(nil)")
	}
	l.edit("SetLetterCause", func(s *settings) { s.letterCause = cause })
}

// baseOf returns the topic whose letters a handler of a dead-letter topic gets,
// as far as it is known.
func (h *registeredHandler) baseOf() string {
	if h.baseTopic != "" {
		return h.baseTopic
	}
	if base, ok := strings.CutSuffix(h.topic, "."+h.group+deadLetterSuffix); ok && base != "" {
		return base
	}
	return h.topic
}
