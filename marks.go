package events

import (
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mark"
)

// Mark returns the mark of an event: what stands in the table events_marks
// when the exactly-once handler of this name, group and topic (without
// prefix) has done the event with this CloudEvents source and id. It is for
// looking an event up, and for importing what another implementation knows as
// done (docs/migration.md). Call it after SetPrefix, since the prefix is a
// part of the mark.
//
// Events without an id have marks of their own, made of where they lie in
// Kafka; this is not how to compute them.
func (l *LibraryNoDB) Mark(group ConsumerGroupName, handler, topic, source, id string) eventmodels.Mark {
	l.mu.Lock()
	prefix := l.settings.prefix
	l.mu.Unlock()
	return mark.Of(mark.Handler{Prefix: prefix, Group: groupName(group), Name: handler, BaseTopic: topic}, source, id)
}
