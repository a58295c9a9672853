package events

import (
	"fmt"
	"regexp"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// maxName is the longest name of a topic or group that Kafka accepts.
const maxName = 249

// LegalTopicNames matches the names that topics may have. A topic that is
// consumed must also leave room for the prefix and for the dead-letter topic
// that is made of it: see [DeadLetterTopic].
var LegalTopicNames = regexp.MustCompile(fmt.Sprintf(`^[-._a-zA-Z0-9]{1,%d}$`, maxName))

// ConsumerGroupName is the name of a consumer group, made by
// [NewConsumerGroup].
type ConsumerGroupName interface {
	// String returns the name, without prefix.
	String() string

	consumerGroup() // only NewConsumerGroup makes them
}

type consumerGroupName string

func (n consumerGroupName) String() string { return string(n) }
func (consumerGroupName) consumerGroup()   {}

// NewConsumerGroup makes the name of a consumer group. It panics if name has
// other characters than [-._a-zA-Z0-9] or not between 1 and 249 of them. All
// instances of a service that share the work use the same name; a service
// that is to see every event for itself has a name of its own.
func NewConsumerGroup(name string) ConsumerGroupName {
	if !LegalTopicNames.MatchString(name) {
		panic(fmt.Sprintf("events.NewConsumerGroup(%q): a name has 1 to %d of the characters [-._a-zA-Z0-9]", name, maxName))
	}
	return consumerGroupName(name)
}

// checkTopic says why a topic of this name cannot be produced to or consumed;
// group is "" if no group consumes it. The caller holds l.mu, or the Library
// runs: the prefix counts.
func (l *LibraryNoDB) checkTopic(topic, group string) error {
	wire := string(l.wireTopic(topic))
	switch {
	case !LegalTopicNames.MatchString(topic), topic == ".", topic == "..":
		return &TopicNameError{Topic: topic, Reason: fmt.Sprintf("a name has 1 to %d of the characters [-._a-zA-Z0-9] and is neither \".\" nor \"..\"", maxName)}
	case len(wire) > maxName:
		return &TopicNameError{Topic: topic, Reason: fmt.Sprintf("with the prefix %q it has %d characters, Kafka allows %d", l.settings.prefix, len(wire), maxName)}
	case group != "":
		if letters := l.settings.prefix + deadLetterName(topic, group); len(letters) > maxName {
			return &TopicNameError{Topic: topic, Reason: fmt.Sprintf("its dead-letter topic %q would have %d characters, Kafka allows %d; shorten the topic's or the group's name", letters, len(letters), maxName)}
		}
	}
	return nil
}

// TopicNameError says why a topic's name cannot be used.
type TopicNameError struct {
	Topic, Reason string
}

// Error names the topic and what is wrong with it.
func (e *TopicNameError) Error() string {
	return fmt.Sprintf("topic name %q is illegal: %s", e.Topic, e.Reason)
}

// letterGroup is the group whose dead-letter topic is made of the handler's
// topic, "" if none is.
func (h *registeredHandler) letterGroup() string {
	if h.deadLetter {
		return ""
	}
	return h.group
}

func (l *LibraryNoDB) wireTopic(topic string) kafka.WireTopic {
	return kafka.WireTopic(l.settings.prefix + topic)
}

func (l *LibraryNoDB) topicOf(wire kafka.WireTopic) string {
	return string(wire[min(len(l.settings.prefix), len(wire)):])
}
