package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Defaults of a [Handler].
const (
	DefaultTimeout          = 5 * time.Minute
	DefaultBroadcastTimeout = 30 * time.Second
	DefaultQueueDepth       = 30
)

// DefaultBackoff is the wait between the attempts of an event.
var DefaultBackoff = backoff.Schedule{Min: time.Second, Max: 30 * time.Second, Jitter: 0.1}

// Handler is a registered handler as the engine sees it. It is not changed
// after New, which fills in the defaults of a copy.
type Handler struct {
	// Name is unique among the handlers of a topic in a group.
	Name string
	// PausedAs is the name that [Engine.Pause] knows it by; "" is Name.
	PausedAs string
	// Topic is the application's name of the topic.
	Topic     string
	WireTopic kafka.WireTopic
	// BaseTopic is the topic that events were first produced to; "" is Topic.
	BaseTopic string
	OnFailure eventmodels.OnFailure
	// Timeout is for all attempts of an event together, without the time that
	// it waits for a slot or a server that is away; with OnFailureBlock
	// for each attempt anew. 0 is 5 minutes, for a broadcast 30 seconds.
	Timeout time.Duration
	// NoRetry makes the first counted attempt the last one.
	NoRetry bool
	// Concurrency limits the deliveries that run at once; 0 is no limit but
	// the library's.
	Concurrency int
	// Places, if not nil, limit the deliveries that run at once of all
	// handlers that share them.
	Places *Places
	// Slots, if not nil, are the handler's instead of Config.Slots.
	Slots *Slots
	// Batch is how many deliveries one run may have at most: what has queued
	// up while all runs that are allowed were busy. It is never more than
	// QueueDepth. 0 is 1.
	Batch int
	// Atomic says that a run that returns an error has done nothing for any of
	// its events. Then an eventmodels.BatchError says of the events that it
	// does not name not that they are done, but that nothing is wrong with
	// them: they are run again without the others.
	Atomic bool
	// Ordering says which of them run one after the other. A lane's deliveries
	// share runs, but it is in one run at a time.
	Ordering Ordering
	// CopiesMessages says that Run copies what it needs of the messages, as those
	// do that make typed events of them: what ms points to is valid until Run
	// returns, too. (What the messages refer to, such as their data and headers,
	// may be kept in any case.)
	CopiesMessages bool
	// QueueDepth limits the deliveries that wait to run for the first time,
	// but for those behind one of their lane that is tried again. 0 is 30.
	QueueDepth int
	// Backoff is the wait between attempts. Zero is 1 s to 30 s.
	Backoff backoff.Schedule
	// Metrics is what the Observer wants to find with the handler.
	Metrics any
	// Run handles messages, at least one and at most Batch. It gets a context
	// with the latest of their deadlines; timeouts, panics and retries are the
	// engine's. Positions in an eventmodels.BatchError are those in ms. ms is
	// valid until Run returns, what it points to for as long as it is used; see
	// CopiesMessages.
	Run func(ctx context.Context, ms []*eventmodels.Message) error
}

// Committer commits offsets for a group's member.
type Committer interface {
	// Commit returns when the offsets are committed, or soon after ctx has
	// ended. What a *kafka.CommitError does not name was committed. It is not
	// called again before it has returned.
	Commit(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error
}

// Config is what an engine is made of.
type Config struct {
	// Group is the consumer group's name, "" for a broadcast.
	Group    string
	Handlers []*Handler
	// Slots are shared by the engines of a library, but for its broadcasts.
	Slots *Slots
	// Decode makes a message of a record: key, data, headers, attributes.
	// What depends on the handler is filled in afterwards. With an error the
	// event takes each handler's OnFailure without being tried again
	// (errors.Is ErrDecode, whatever Decode returned), and the handler is not
	// called. It is called by many goroutines, and may be called again for a
	// record.
	Decode func(r *kafka.Record, into *eventmodels.Message) error
	// Fault says whose fault a handler's error is. nil: always the event's.
	Fault func(error) eventmodels.Fault
	// Healthy asks whether the database and the brokers answer. It is asked
	// after every failure that would be final, and before anything is done
	// about it; while it returns an error no verdict falls and the partitions
	// concerned pause. It returns soon after ctx has ended. One goroutine
	// calls it. nil: they always do.
	Healthy func(ctx context.Context) error
	// Sink writes what has to be in Kafka before a delivery is done: the
	// letter of one that has failed for good (OnFailureSave,
	// OnFailureRetryLater), or what Run has returned with [ToSink]. It returns
	// when the brokers have acknowledged all of it, or soon after ctx has
	// ended, with an error for each that they have not (nil: none). These are
	// handed to it again, as often as it takes, and their partitions hold
	// meanwhile. It may write something twice: the answer was lost, or the
	// epoch has ended. One goroutine calls it.
	Sink func(ctx context.Context, out []*Outgoing) []error
	// Observer is told what happens; the zero value does nothing.
	Observer Observer
	// Logger is slog.Default() if nil.
	Logger *slog.Logger
	Limits Limits
	// Values is where the contexts of handlers have their values from; its
	// cancellation does not reach them. nil: none.
	Values context.Context
}

// withDefaults returns a copy of h with its defaults filled in.
func (h Handler) withDefaults(group string) *Handler {
	if h.BaseTopic == "" {
		h.BaseTopic = h.Topic
	}
	if h.Timeout == 0 {
		h.Timeout = DefaultTimeout
		if group == "" {
			h.Timeout = DefaultBroadcastTimeout
		}
	}
	if h.QueueDepth == 0 {
		h.QueueDepth = DefaultQueueDepth
	}
	h.Batch = min(max(h.Batch, 1), h.QueueDepth)
	if h.Backoff == (backoff.Schedule{}) {
		h.Backoff = DefaultBackoff
	}
	return &h
}

func (h *Handler) validate() error {
	switch {
	case h.Name == "":
		return errors.New("no Name")
	case h.Topic == "" || h.WireTopic == "":
		return errors.New("no Topic or no WireTopic")
	case h.Run == nil:
		return errors.New("no Run")
	case h.Timeout < 0:
		return fmt.Errorf("negative Timeout (%v)", h.Timeout)
	case h.Concurrency < 0:
		return fmt.Errorf("negative Concurrency (%d)", h.Concurrency)
	case h.Batch < 0:
		return fmt.Errorf("negative Batch (%d)", h.Batch)
	case h.Ordering < Unordered || h.Ordering > ByPartition:
		return fmt.Errorf("unknown %v", h.Ordering)
	case h.QueueDepth < 0:
		return fmt.Errorf("negative QueueDepth (%d)", h.QueueDepth)
	}
	switch h.OnFailure {
	case eventmodels.OnFailureDiscard, eventmodels.OnFailureBlock, eventmodels.OnFailureRetryLater, eventmodels.OnFailureSave:
	default:
		return fmt.Errorf("unknown %v", h.OnFailure)
	}
	return nil
}

// withDefaults returns a copy with its defaults filled in, or says which field
// is wrong.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Slots == nil {
		return cfg, errors.New("no Slots")
	}
	if cfg.Decode == nil {
		return cfg, errors.New("no Decode")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Values == nil {
		cfg.Values = context.Background()
	}
	cfg.Values = context.WithoutCancel(cfg.Values)
	var err error
	if cfg.Limits, err = cfg.Limits.withDefaults(); err != nil {
		return cfg, err
	}
	type name struct {
		topic   kafka.WireTopic
		handler string
	}
	seen := make(map[name]bool, len(cfg.Handlers))
	handlers := make([]*Handler, 0, len(cfg.Handlers))
	for _, h := range cfg.Handlers {
		if h == nil {
			return cfg, errors.New("a handler is nil")
		}
		if err := h.validate(); err != nil {
			return cfg, fmt.Errorf("handler %q of topic %q: %w", h.Name, h.Topic, err)
		}
		if cfg.Sink == nil && giveUp(h.OnFailure).Kind == DeadLetter {
			return cfg, fmt.Errorf("handler %q of topic %q: OnFailure%v without Sink", h.Name, h.Topic, h.OnFailure)
		}
		if n := (name{h.WireTopic, h.Name}); seen[n] {
			return cfg, fmt.Errorf("handler %q of topic %q: there are two of this name", h.Name, h.Topic)
		} else {
			seen[n] = true
		}
		handlers = append(handlers, h.withDefaults(cfg.Group))
	}
	cfg.Handlers = handlers
	return cfg, nil
}
