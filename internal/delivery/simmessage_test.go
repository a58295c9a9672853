package delivery

import (
	"fmt"

	"github.com/seed46dd6f11/events/eventmodels"
)

// simKept is a message that a handler has kept, and what it was then.
type simKept struct {
	*eventmodels.Message
	was eventmodels.Message
}

// copies says of every other handler that it does not keep its messages.
func (h *simHandler) copies() bool { return h.name[0]%2 == 0 }

// checkMessage fails if a message is none, or parts of two. The caller has the
// lock.
func (s *simulation) checkMessage(h *simHandler, msg *eventmodels.Message) {
	if want := fmt.Sprintf("%s/%d/%d", h.topic, msg.Partition, msg.Offset); msg.ID != want || msg.HandlerName != h.name || msg.Attempt < 1 {
		s.fail("%s: attempt %d of %s, which says that it is %s of %s", h.name, msg.Attempt, want, msg.ID, msg.HandlerName)
	}
}

// checkKept keeps a message, if that is allowed, and looks at the one that was
// kept before. The caller has the lock.
func (s *simulation) checkKept(h *simHandler, ms []*eventmodels.Message) {
	if h.copies() {
		return
	}
	if last, ok := s.kept[h.name]; ok && (last.ID != last.was.ID || last.Offset != last.was.Offset || last.Attempt != last.was.Attempt) {
		s.fail("%s: the message %s of attempt %d, which was kept, is %s of attempt %d now", h.name, last.was.ID, last.was.Attempt, last.ID, last.Attempt)
	}
	msg := ms[len(ms)-1]
	s.kept[h.name] = simKept{msg, *msg}
}
