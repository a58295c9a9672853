package delivery

import (
	"context"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

var simHandlers = []simHandler{
	{name: "a", topic: "orders", onFailure: eventmodels.OnFailureDiscard},
	{name: "b", topic: "orders", onFailure: eventmodels.OnFailureBlock, concurrency: 2},
	{name: "c", topic: "audit", onFailure: eventmodels.OnFailureDiscard, concurrency: 1},
	{name: "d", topic: "audit", onFailure: eventmodels.OnFailureSave, concurrency: 3},
	{name: "g", topic: "audit", onFailure: eventmodels.OnFailureSave, concurrency: 2, batch: 6},
	{name: "e", topic: "mail", onFailure: eventmodels.OnFailureDiscard, concurrency: 2, batch: 5, atomic: true},
	{name: "f", topic: "mail", onFailure: eventmodels.OnFailureBlock, concurrency: 1, batch: 7},
	{name: "h", topic: "mail", onFailure: eventmodels.OnFailureDiscard, ordering: ByKey},
	{name: "i", topic: "calls", onFailure: eventmodels.OnFailureSave, concurrency: 3, batch: 6, ordering: ByKey},
	{name: "j", topic: "calls", onFailure: eventmodels.OnFailureDiscard, concurrency: 2, batch: 5, atomic: true, ordering: ByKey},
	{name: "k", topic: "calls", onFailure: eventmodels.OnFailureBlock, concurrency: 2, batch: 4, ordering: ByPartition},
	{name: "l", topic: "news", onFailure: eventmodels.OnFailureDiscard, ordering: ByPartition},
	{name: "m", topic: "news", onFailure: eventmodels.OnFailureBlock, batch: 7, atomic: true, ordering: ByKey},
	{name: "n", topic: "bills", onFailure: eventmodels.OnFailureSave, concurrency: 3}, // events of one handler have used memory
	{name: "o", topic: "stock", onFailure: eventmodels.OnFailureDiscard, concurrency: 2, batch: 5, ordering: ByKey},
}

type simHandler struct {
	name, topic string
	onFailure   eventmodels.OnFailure
	concurrency int
	batch       int
	atomic      bool
	ordering    Ordering
}

// sameLane reports whether two records of a partition are to be in order.
func (h *simHandler) sameLane(a, b *kafka.Record) bool {
	switch h.ordering {
	case ByPartition:
		return true
	case ByKey:
		return a.Key != nil && b.Key != nil && string(a.Key) == string(b.Key)
	}
	return false
}

func handlersOf(topic kafka.WireTopic) (all []string) {
	for _, h := range simHandlers {
		if h.topic == string(topic) {
			all = append(all, h.name)
		}
	}
	return all
}

// handle is every handler.
func (m *simMember) handle(ctx context.Context, h *simHandler, ms []*eventmodels.Message) error {
	s := m.s
	s.mu.Lock()
	engine := simRunning{m.engine, h.name}
	s.running[engine]++
	if n := s.running[engine]; h.concurrency > 0 && n > h.concurrency || len(ms) > max(h.batch, 1) {
		s.fail("%s: %d of %s at a time, and %d events", m.name, n, h.name, len(ms))
	}
	epochs := make([]*simEpoch, len(ms)) // nil: it was on its way when its epoch ended
	for i, msg := range ms {
		epochs[i] = m.begin(h, msg)
		if epochs[i] != nil && h.ordering != Unordered {
			m.checkOrder(epochs[i], h, ms[:i], msg)
		}
	}
	took, deaf := s.took()
	result := s.outcome(h, ms)
	s.checkKept(h, ms)
	s.mu.Unlock()

	switch {
	case took == 0:
	case deaf:
		time.Sleep(took)
	default:
		select {
		case <-time.After(took):
		case <-ctx.Done():
			result = ctx.Err()
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[engine]--
	failed, all := eventmodels.SplitBatchError(result, len(ms))
	for i, msg := range ms {
		s.checkMessage(h, msg)
		if ep := epochs[i]; ep != nil {
			err := all
			if all == nil {
				err = failed[i]
			}
			own := len(ms) == 1 || all == nil
			undone := h.atomic && len(failed) > 0 && err == nil
			m.end(ep, h, msg, err, own && !undone)
		}
	}
	return result
}

// sink writes letters.
func (m *simMember) sink(ctx context.Context, out []*Outgoing) []error {
	s := m.s
	errs := make([]error, len(out))
	m.checkCounts()
	s.mu.Lock()
	slow, calm := time.Duration(s.rnd.IntN(400))*time.Millisecond, s.calm
	if s.chance(5) {
		slow *= 30
	}
	s.mu.Unlock()
	if !calm {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range out {
		if ctx.Err() != nil || !s.calm && (s.away || s.chance(10)) {
			errs[i] = errAway
			continue
		}
		tp, key := at(o.Record.Topic, o.Record.Partition), simKey{o.Record.Offset, o.Handler.Name}
		s.logs[tp].done[s.logs[tp].at(key.offset)][key.handler] = true
		if ep := m.owned[tp]; ep != nil && ep.lettered[key] { // else it was written for an epoch that has ended
			ep.done[key] = true
		}
	}
	return errs
}

// took says how long a call takes, and whether it hears its context. The
// caller has the lock.
func (s *simulation) took() (took time.Duration, deaf bool) {
	switch {
	case s.calm || s.chance(30):
		return 0, false
	case s.chance(1):
		return time.Duration(s.rnd.IntN(20)) * time.Second, true
	}
	return time.Duration(s.rnd.IntN(300)) * time.Millisecond, false
}

// outcome says how a call ends. The caller has the lock.
func (s *simulation) outcome(h *simHandler, ms []*eventmodels.Message) error {
	if s.calm {
		return nil
	}
	if len(ms) == 1 || s.chance(50) {
		return s.failure(h, ms[0].Attempt)
	}
	var failed eventmodels.BatchError
	for i, msg := range ms {
		failed.Fail(i, s.failure(h, msg.Attempt))
	}
	return failed.Err()
}

func (s *simulation) failure(h *simHandler, attempt int) error {
	switch {
	case s.away:
		return errAway
	case s.chance(5):
		return errConflict
	case s.chance(10) && h.name == "d":
		return NotBefore(time.Now().Add(time.Duration(s.rnd.IntN(5000)) * time.Millisecond))
	case s.chance(10) && attempt < 4:
		return errTest
	case s.chance(3) && h.onFailure != eventmodels.OnFailureBlock: // that would block for good
		return eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
	}
	return nil
}
