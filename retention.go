package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// retentionTimeout bounds the question for the topics' retention.
const retentionTimeout = 10 * time.Second

// SetMarkRetention sets how long exactly-once handlers recognise an event,
// from when they have handled it: for that long its mark is kept. A mark takes
// about a hundred bytes. The default is 30 days. It has to be longer than
// anything that can deliver an event again: the retention of the topics that
// these handlers consume, the outbox's age after an outage, a letter's until it
// is replayed.
//
// The marks of a database have no owner: of Libraries that share one, all need
// the same retention, or the shortest holds. It panics unless d is positive.
func (l *LibraryNoDB) SetMarkRetention(d time.Duration) {
	if d <= 0 {
		panic(fmt.Sprintf("events: SetMarkRetention(%v): a positive duration is needed", d))
	}
	l.edit("SetMarkRetention", func(s *settings) { s.markRetention = d })
}

// warnOfRetention logs, once for each topic that has exactly-once handlers,
// that its events are kept for longer than the marks: one that is read again
// after its mark is gone, by a group that was reset, is handled again. Brokers
// that do not tell cost nothing.
func (l *LibraryNoDB) warnOfRetention(ctx context.Context, client *kafka.Client) {
	var topics []kafka.WireTopic
	for _, h := range l.handlers {
		if wire := l.wireTopic(h.topic); h.kind == kindExactlyOnce && !slices.Contains(topics, wire) {
			topics = append(topics, wire)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, retentionTimeout)
	defer cancel()
	kept, err := client.Retention(ctx, topics)
	for _, topic := range topics {
		if _, ok := kept[topic]; !ok {
			l.logger().Debug("the brokers do not tell how long events are kept", "topic", l.topicOf(topic), "error", err)
			continue
		}
		if kept[topic] <= l.settings.markRetention {
			continue
		}
		text := "for ever"
		if kept[topic] != kafka.Forever {
			text = kept[topic].String()
		}
		l.logger().Warn("events of this topic are kept longer than the marks of its exactly-once handlers; one that is read again after that "+
			"(a group that is reset, a replay) is handled again: lower the topic's retention.ms, or do not go back further than the marks",
			"topic", l.topicOf(topic), "kept", text, "marks_kept", l.settings.markRetention)
	}
}
