package events

import (
	"context"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// limitTimeout bounds the question for a topic's size limit.
const limitTimeout = 10 * time.Second

// limit returns a topic's max.message.bytes as far as it is known, and asks
// for it if it is not.
func (l *LibraryNoDB) limit(client *kafka.Client, topic kafka.WireTopic) int {
	if limit, ok := client.CachedLimit(topic); ok {
		return limit
	}
	l.askLimit(client, topic)
	return l.assumedLimit()
}

// assumedLimit is the limit of topics whose own is not known.
func (l *LibraryNoDB) assumedLimit() int {
	return max(kafka.DefaultMaxMessageBytes, l.settings.sizeFloor)
}

// askLimit asks for a topic's limit, unless that is being done. It does not wait
// for the answer. Who needs a limit that is not known, again since the topic was
// created anew, or still since nobody has answered, asks again; so does who is
// above one that may have been raised since it was read.
func (l *LibraryNoDB) askLimit(client *kafka.Client, topic kafka.WireTopic) {
	if _, asking := l.askingLimits.LoadOrStore(topic, true); asking {
		return
	}
	go func() {
		defer l.askingLimits.Delete(topic)
		ctx, cancel := context.WithTimeout(context.Background(), limitTimeout)
		defer cancel()
		_, _ = client.RefreshLimit(ctx, topic) // remembers the answer
	}()
}

// learnLimits asks for the limits of the topics that were announced, so that
// events that are too big are refused when they are produced, and others are not.
func (l *LibraryNoDB) learnLimits() {
	client, err := l.kafkaClient()
	if err != nil {
		return
	}
	for _, topic := range l.announcedTopics() {
		l.limit(client, l.wireTopic(topic))
	}
}
