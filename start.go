package events

import (
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// Start is where a consumer group begins in a topic of which it has committed
// nothing; see [WithStart].
type Start struct {
	start kafka.Start
}

var (
	// Earliest is the first event that the topic still has.
	Earliest = Start{kafka.Earliest}
	// Latest is the first event that is appended after the instance has
	// started consuming. A partition that is added later is read from its
	// beginning; but one that was added before the instance has started, and
	// of which no other one has noticed, begins there, too.
	Latest = Start{kafka.Latest}
)

// StartAt is the first event at or after t, by the timestamps of Kafka's
// records.
func StartAt(t time.Time) Start { return Start{kafka.From(t.Round(0).UTC())} }

// WithStart says where the consumer group begins in the handler's topic: in a
// group that is new, and in a topic or partition that is new to the group.
// What the group has committed goes first, so a group that exists goes on
// where it was. The default is Earliest.
//
// A group reads a topic once for all its handlers: it is enough that one of
// them says it, and registering a handler that says something else than
// another one of its topic and group panics. So does a broadcast, which begins
// where it starts.
func WithStart(start Start) HandlerOpt {
	return func(h *registeredHandler, _ *LibraryNoDB) { h.start = &start }
}

// checkStart says what is wrong with where a handler starts; "" is nothing.
func (h *registeredHandler) checkStart(others []*registeredHandler) string {
	if h.start == nil {
		return ""
	}
	if h.kind == kindBroadcast {
		return "WithStart is for handlers of consumer groups; a broadcast begins with what is appended after its start"
	}
	for _, other := range others {
		if other.start != nil && other.group == h.group && other.topic == h.topic && *other.start != *h.start {
			return fmt.Sprintf("WithStart says something else than at handler %q; a group begins in a topic at one place", other.name)
		}
	}
	return ""
}

// starts are where a group begins, for the topics of which a handler says it.
func (l *LibraryNoDB) starts(handlers []*registeredHandler) map[kafka.WireTopic]kafka.Start {
	starts := make(map[kafka.WireTopic]kafka.Start)
	for _, h := range handlers {
		if h.start != nil {
			starts[l.wireTopic(h.topic)] = h.start.start
		}
	}
	return starts
}
