package events

import (
	"context"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/delivery"
)

// delivery kinds of handlers.
type handlerKind int

const (
	kindIdempotent handlerKind = iota
	kindExactlyOnce
	kindBroadcast
)

// registeredHandler is a handler with its options, before the library runs.
type registeredHandler struct {
	kind      handlerKind
	group     string // without prefix; "" for a broadcast
	name      string
	topic     string // without prefix
	onFailure eventmodels.OnFailure

	timeout     time.Duration     // 0: 5 min, broadcast 30 s
	concurrency int               // 0: the library's limit alone; of batches 3, or 1 if batch is set
	batch       int               // 0: 30, or 1 if concurrency is set; for batch handlers
	batches     bool              // the handler takes several events at a time
	ordering    delivery.Ordering // Unordered
	queueDepth  int               // 0: 30
	noRetry     bool              // false
	backoff     backoff.Schedule  // zero: 1 s to 30 s
	deadLetter  bool              // false: the topic is no dead-letter topic
	baseTopic   string            // "": the topic, or what a letter says

	// copiesMessages: it is one of eventmodels' own handlers, which keep none of
	// their messages.
	copiesMessages bool

	start *Start // nil: what another handler of topic and group says, or Earliest

	// bind makes what the engine runs. It is called when consuming starts,
	// when database and prefix are known.
	bind func() runFunc
}

// runFunc is what the engine runs: a handler, with one message or a batch.
type runFunc = func(context.Context, []*eventmodels.Message) error

// HandlerOpt is an option of a handler, given to Consume*.
type HandlerOpt func(*registeredHandler, *LibraryNoDB)

// WithTimeout bounds all attempts of an event together: the handler's ctx ends
// then, and so do the retries. While an event could be tried, but for a free slot
// or a server that is away, its time does not go. With OnFailureBlock each attempt
// has it anew.
// The default is 5 minutes, for broadcasts 30 seconds. It panics unless d is
// positive.
func WithTimeout(d time.Duration) HandlerOpt {
	if d <= 0 {
		panic(fmt.Sprintf("events.WithTimeout(%v): the timeout must be positive", d))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) { h.timeout = d }
}

// WithConcurrency limits how many events the handler works on at the same time
// in this Library, or a batch handler on how many batches. The default is no
// limit but the Library's (see SetMaxRunningHandlers), and 3 batches. Without
// WithBatch it makes the batches of a batch handler single events. Dead letters
// run beside the events, one by one, with a limit of their own that is as large.
// It panics unless n is positive.
func WithConcurrency(n int) HandlerOpt {
	if n <= 0 {
		panic(fmt.Sprintf("events.WithConcurrency(%d): at least 1 is needed", n))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) { h.concurrency = n }
}

// WithBatch limits how many events a batch handler gets at a time (see
// eventmodels.BoundTopic.BatchHandler). The default is 30. A batch is what has
// queued up while all runs that are allowed were busy, so it is not waited for,
// and no larger than the queue is deep (WithQueueDepthLimit). Without
// WithConcurrency it makes the handler run one batch at a time; without either,
// three run.
//
// A handler that takes single events runs as it does without WithBatch, so that
// handlers of both kinds can share their options. It panics unless n is
// positive.
func WithBatch(n int) HandlerOpt {
	if n <= 0 {
		panic(fmt.Sprintf("events.WithBatch(%d): at least 1 is needed", n))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) { h.batch = n }
}

// Defaults of batch handlers.
const (
	defaultBatch            = 30
	defaultBatchConcurrency = 3
)

// limits are how many events a run may have, and how many runs there may be at
// a time (0: as many as the library allows).
func (h *registeredHandler) limits() (batch, concurrency int) {
	switch {
	case !h.batches:
		return 1, h.concurrency
	case h.batch == 0 && h.concurrency == 0:
		return defaultBatch, defaultBatchConcurrency
	}
	return max(h.batch, 1), max(h.concurrency, 1)
}

// WithQueueDepthLimit limits how many events wait for the handler in memory,
// and how many a batch may have. Beyond it, the partitions of its topic wait,
// too. The default is 30. It panics unless n is positive.
func WithQueueDepthLimit(n int) HandlerOpt {
	if n <= 0 {
		panic(fmt.Sprintf("events.WithQueueDepthLimit(%d): at least 1 is needed", n))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) { h.queueDepth = n }
}

// WithRetrying(false) makes the first failure of an event the last one.
// Attempts that fail because the database or the brokers are away are repeated
// nevertheless.
func WithRetrying(retry bool) HandlerOpt {
	return func(h *registeredHandler, _ *LibraryNoDB) { h.noRetry = !retry }
}

// WithBackoff sets the pause before an event is tried again: from shortest,
// doubling with each attempt, to longest, up to a tenth of it less by chance.
// The default is 1 s to 30 s. It panics unless 0 < shortest <= longest.
func WithBackoff(shortest, longest time.Duration) HandlerOpt {
	if shortest <= 0 || longest < shortest {
		panic(fmt.Sprintf("events.WithBackoff(%v, %v): 0 < shortest <= longest is needed", shortest, longest))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) {
		h.backoff = backoff.Schedule{Min: shortest, Max: longest, Jitter: 0.1}
	}
}

// ConsumeIdempotent registers a handler that gets every event of its topic at
// least once in one instance of the group: it must not mind to get one again.
// handlerName is unique among the handlers of the topic and group; it is part
// of metrics and logs. By default handlers run in parallel and in any order.
//
// A batch handler (eventmodels.BoundTopic.BatchHandler) says with an
// eventmodels.BatchError which of its events have failed; the others are done.
// With another error the batch is tried once more as it is, after the backoff,
// and then in halves, until the events that fail stand alone: only these are
// counted as failed and take what onFailure says. DoNotRetry and
// WithRetrying(false) spare the repetition. IgnoreError takes the whole batch
// for done.
//
// It panics if the library runs already, if a name is illegal or taken, or if
// onFailure is none of the constants.
func (l *Library[ID, TX, DB]) ConsumeIdempotent(group ConsumerGroupName, onFailure eventmodels.OnFailure, handlerName string, handler eventmodels.HandlerInterface, opts ...HandlerOpt) {
	if isNil(handler) {
		panic(fmt.Sprintf("events: ConsumeIdempotent(%q): the handler is nil", handlerName))
	}
	l.register("ConsumeIdempotent", &registeredHandler{
		kind: kindIdempotent, group: groupName(group), onFailure: onFailure, name: handlerName, topic: handler.Topic(),
		batches: isBatchHandler(handler), copiesMessages: copiesMessages(handler),
		bind: func() runFunc { return runPlain(handler) },
	}, opts)
}

// ConsumeExactlyOnce registers a handler whose SQL effects, and events produced
// with its transaction, happen once per (group, handler, event), whatever
// crashes, is redelivered or produced twice, within 30 days after the handling
// (SetMarkRetention). An event is recognised by its CloudEvents source and id,
// one without id by its place in the topic. A renamed handler, topic or group
// handles again what is redelivered.
//
// A batch has one transaction. Any error of a batch handler rolls it back; with
// an eventmodels.BatchError the events that it does not name are run again at
// once, without those that it names.
//
// It needs a database: StartConsuming returns an error without one. It panics
// like ConsumeIdempotent.
func (l *Library[ID, TX, DB]) ConsumeExactlyOnce(group ConsumerGroupName, onFailure eventmodels.OnFailure, handlerName string, handler eventmodels.HandlerTxInterface[ID, TX], opts ...HandlerOpt) {
	if isNil(handler) {
		panic(fmt.Sprintf("events: ConsumeExactlyOnce(%q): the handler is nil", handlerName))
	}
	h := &registeredHandler{
		kind: kindExactlyOnce, group: groupName(group), onFailure: onFailure, name: handlerName, topic: handler.Topic(),
	}
	_, h.batches = handler.(eventmodels.BatchHandlerTxInterface[ID, TX])
	h.copiesMessages = copiesMessages(handler)
	h.bind = func() runFunc { return l.runOnce(h, handler) }
	l.register("ConsumeExactlyOnce", h, opts)
}

func groupName(group ConsumerGroupName) string {
	if isNil(group) {
		panic("events: the consumer group is nil; make it with NewConsumerGroup")
	}
	return group.String()
}

// register adds a handler. Mistakes are the programmer's: it panics.
func (l *LibraryNoDB) register(call string, h *registeredHandler, opts []HandlerOpt) {
	for _, opt := range opts {
		opt(h, l)
	}
	where := fmt.Sprintf("events: %s(%q) of topic %q", call, h.name, h.topic)
	if !LegalTopicNames.MatchString(h.name) {
		panic(fmt.Sprintf("%s: a handler's name has 1 to %d of the characters [-._a-zA-Z0-9]", where, maxName))
	}
	if h.deadLetter && h.writesLetters() {
		panic(fmt.Sprintf("%s: OnFailure%v for a handler of a dead-letter topic: letters have no letters", where, h.onFailure))
	}
	switch h.onFailure {
	case eventmodels.OnFailureDiscard, eventmodels.OnFailureBlock, eventmodels.OnFailureRetryLater, eventmodels.OnFailureSave:
	default:
		panic(fmt.Sprintf("%s: %v is none of the OnFailure constants", where, h.onFailure))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase >= phaseRunning {
		panic(where + ": the Library runs already; register handlers before StartConsuming, CatchUpProduce and Produce")
	}
	if err := l.checkTopic(h.topic, h.letterGroup()); err != nil {
		panic(fmt.Sprintf("%s: %v", where, err))
	}
	for _, other := range l.handlers {
		if other.name == h.name && other.topic == h.topic && other.group == h.group {
			panic(where + ": there is a handler of this name already; names are unique among the handlers of a topic and group")
		}
	}
	if wrong := h.checkStart(l.handlers); wrong != "" {
		panic(where + ": " + wrong)
	}
	l.handlers = append(l.handlers, h)
}

func isBatchHandler(handler eventmodels.HandlerInterface) bool {
	_, ok := handler.(eventmodels.BatchHandlerInterface)
	return ok
}

// copiesMessages reports whether a handler is done with its messages when it
// returns. Only those of package eventmodels say so: one of the application's
// that wraps one of them may keep what it gets.
func copiesMessages(handler eventmodels.HandlerInfo) bool {
	_, ok := handler.(interface{ CopiesMessages() })
	return ok
}

// runPlain runs an idempotent or broadcast handler.
func runPlain(handler eventmodels.HandlerInterface) runFunc {
	if batch, ok := handler.(eventmodels.BatchHandlerInterface); ok {
		return batch.HandleBatch
	}
	return func(ctx context.Context, ms []*eventmodels.Message) error { return handler.Handle(ctx, ms[0]) }
}
