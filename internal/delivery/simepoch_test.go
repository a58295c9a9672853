package delivery

import (
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// simEpoch is one assignment of a partition.
type simEpoch struct {
	start, position int64
	lowest          int // record that is not done
	paused, over    bool
	running, done   map[simKey]bool
	given           map[simKey]bool // up, which is done, too
	lettered        map[simKey]bool // are to have a letter
}

// begin notes that an event is handled. It returns nil if it is not the
// member's any more. The caller has the lock.
func (m *simMember) begin(h *simHandler, msg *eventmodels.Message) *simEpoch {
	s := m.s
	tp, key := at(msg.Topic, msg.Partition), simKey{msg.Offset, h.name}
	ep := m.owned[tp]
	if ep == nil || ep.over {
		if since := m.ended[tp]; time.Since(since) > 0 { // else it was on its way
			s.fail("%s: %v of %v started %v after its epoch", m.name, key, tp, time.Since(since))
		}
		return nil
	}
	if ep.running[key] || ep.done[key] && !ep.given[key] {
		s.fail("%s: %v of %v delivered again", m.name, key, tp)
	}
	ep.running[key] = true
	log := s.logs[tp]
	for ep.isDone(log.records[ep.lowest].Offset, tp.Topic) {
		ep.lowest++
	}
	if here := log.at(msg.Offset); here >= ep.lowest+simSpan {
		s.fail("%s: record %d of %v is delivered while %d is not done", m.name, here, tp, ep.lowest)
	}
	return ep
}

// checkOrder fails if something in front of an event in its lane is neither done
// nor in front of it in the batch. The caller has the lock.
func (m *simMember) checkOrder(ep *simEpoch, h *simHandler, before []*eventmodels.Message, msg *eventmodels.Message) {
	tp := at(msg.Topic, msg.Partition)
	log := m.s.logs[tp]
	here := log.at(msg.Offset)
	for i := here - 1; i >= ep.lowest && log.records[i].Offset >= ep.start; i-- {
		offset := log.records[i].Offset
		if !h.sameLane(log.records[i], log.records[here]) || ep.done[simKey{offset, h.name}] {
			continue
		}
		if !slices.ContainsFunc(before, func(b *eventmodels.Message) bool { return b.Partition == msg.Partition && b.Offset == offset }) {
			m.s.fail("%s: %s gets %d of %v before %d", m.name, h.name, msg.Offset, tp, offset)
		}
	}
}

// end notes what has become of an event; own says that err is about it. The
// caller has the lock.
func (m *simMember) end(ep *simEpoch, h *simHandler, msg *eventmodels.Message, err error, own bool) {
	tp, key := at(msg.Topic, msg.Partition), simKey{msg.Offset, h.name}
	delete(ep.running, key)
	gaveUp := eventmodels.GetErrorHandling(err) == eventmodels.DoNotRetry
	if !own || err != nil && !gaveUp {
		return
	}
	if gaveUp && h.onFailure == eventmodels.OnFailureSave {
		ep.lettered[key] = true
		return
	}
	ep.done[key] = true
	ep.given[key] = gaveUp // unless the servers turn out to be away
	log := m.s.logs[tp]
	log.done[log.at(msg.Offset)][h.name] = true
}

func (ep *simEpoch) isDone(offset int64, topic kafka.WireTopic) bool {
	for _, h := range handlersOf(topic) {
		if !ep.done[simKey{offset, h}] {
			return false
		}
	}
	return true
}
