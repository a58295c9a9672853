package delivery

import (
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Observer is told what happens, for metrics. A nil func is not called. They
// are called by many goroutines without any lock; they must be quick. None is
// called for a result that changes nothing because its epoch has ended.
//
// A *Handler is the engine's copy (see [Engine.Handlers]), the same each time.
type Observer struct {
	// Consumed: a record has been decoded for the first time, as it first
	// reaches a handler, which was at now. m is nil if it cannot be decoded, and
	// must not be kept. h is one of the topic's handlers.
	Consumed func(h *Handler, record *kafka.Record, m *eventmodels.Message, now time.Time)
	// Acked: all handlers of a record have their final verdicts; latency is
	// the time since it was polled. h is one of the topic's handlers.
	Acked func(h *Handler, latency time.Duration)
	// Ran: Run has returned after d, whatever the result. Once for a batch.
	Ran func(h *Handler, d time.Duration)
	// Succeeded: the event is done for this handler (ErrAlreadyProcessed
	// included).
	Succeeded func(h *Handler)
	// Failed: an attempt has returned err (a *PanicError for a panic). Once
	// for a batch that fails as a whole, else for each event that failed.
	Failed func(h *Handler, err error)
	// Panicked: that attempt has panicked. Failed is called, too.
	Panicked func(h *Handler)
	// Dropped: the final verdict is to do without it (OnFailureDiscard).
	Dropped func(h *Handler)
	// Overdue: a handler has not returned although its deadline is over.
	// Called once for each such run.
	Overdue func(h *Handler)
	// Committed: offsets of so many partitions were committed, or err.
	Committed func(partitions int, err error)
	// Sampled gets the state of all handlers, about every second while
	// anything runs or waits, once when nothing does any more, and once when
	// the engine has stopped. No two calls overlap.
	Sampled func([]HandlerStats)
}
