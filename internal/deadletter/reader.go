package deadletter

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
	"github.com/seed46dd6f11/events/internal/mark"
)

// Handler is one whose letters are written and run.
type Handler struct {
	// Identity says whose letters: its mark of an event is the letter's id.
	Identity mark.Handler
	// Topic is the dead-letter topic.
	Topic kafka.WireTopic
	// Mode is that of the letters that are written for it.
	Mode letters.Mode
	// Run is the handler. Its ctx knows the letter's id: see MarkOf.
	Run func(ctx context.Context, ms []*eventmodels.Message) error
	// Atomic says that a run that returns an error has done nothing.
	Atomic bool
	// Ran is told of a run, for metrics. nil: nobody is.
	Ran func(took time.Duration, err error)
}

// failure is what the error of a run means for its event; nil for a success.
func (h *Handler) failure(err error) error {
	if err == nil {
		return nil
	}
	if failed, all := eventmodels.SplitBatchError(err, 1); all == nil { // of a batch handler
		if err = failed[0]; err == nil && h.Atomic {
			return delivery.ErrNamesNone
		}
	}
	if errors.Is(err, eventmodels.ErrAlreadyProcessed) || eventmodels.GetErrorHandling(err) == eventmodels.IgnoreError {
		return nil
	}
	return err
}

// Reader makes the handlers of a dead-letter topic that the engine runs.
type Reader struct {
	index *Index
	log   *slog.Logger
	// topicOf is the application's name of a topic.
	topicOf func(kafka.WireTopic) string

	warned sync.Map // unknown handlers
}

// NewReader makes a reader. topicOf returns the application's name of a topic.
func NewReader(index *Index, log *slog.Logger, topicOf func(kafka.WireTopic) string) *Reader {
	return &Reader{index: index, log: log, topicOf: topicOf}
}

// outcome is what the writer is to write of a run, or of a wait.
type outcome struct {
	kind     letters.Kind // Done or Copy
	attempts int          // counted in this run
	took     time.Duration
}

// Run returns what the engine runs for the letters of a handler. Records that
// do not concern it are passed over.
func (r *Reader) Run(h *Handler) func(context.Context, []*eventmodels.Message) error {
	return func(ctx context.Context, ms []*eventmodels.Message) error {
		record := delivery.RecordOf(ctx)
		header, own, err := letters.Parse(record.Headers)
		if err != nil || !concerns(header, h.Identity) || header.Handler != h.Identity.Name || !runnable(header) {
			return nil
		}
		tp := placeOf(record)
		if isDue, result := r.judge(ctx, tp, record.Offset, header); !isDue {
			return result
		}
		if !r.index.claim(tp, header.ID, record.Offset) {
			return delivery.NotBefore(time.Now().Add(busyWait))
		}
		m, err := r.message(record, header, own)
		if err == nil {
			m.ConsumerGroup, m.HandlerName = h.Identity.Group, h.Identity.Name
			m.BaseTopic = cmp.Or(m.BaseTopic, h.Identity.BaseTopic)
			m.Attempt = header.Attempts + ms[0].Attempt
			var took time.Duration
			err = timed(func() error {
				return h.failure(h.Run(withMark(ctx, header.ID), []*eventmodels.Message{m}))
			}, func(d time.Duration, err error) {
				took = d
				if h.Ran != nil {
					h.Ran(d, err)
				}
			})
			if err == nil {
				return delivery.ToSink(outcome{kind: letters.Done, attempts: ms[0].Attempt, took: took})
			}
		}
		return err
	}
}

// Others returns what the engine runs for letters of handlers that are none of
// known: they wait here for the instances that know them.
func (r *Reader) Others(group mark.Handler, known func(handler string) bool) func(context.Context, []*eventmodels.Message) error {
	return func(ctx context.Context, _ []*eventmodels.Message) error {
		record := delivery.RecordOf(ctx)
		header, _, err := letters.Parse(record.Headers)
		if err != nil || !concerns(header, group) || known(header.Handler) || !runnable(header) {
			return nil
		}
		header.NotBefore = time.Now().Add(foreverWait) // so it is never due
		_, result := r.judge(ctx, placeOf(record), record.Offset, header)
		if result == nil {
			return nil // it is passed over
		}
		if _, known := r.warned.LoadOrStore(header.Handler, true); !known {
			r.log.Warn("events: a letter waits for a handler that is not registered here; it waits until an instance that knows it has the partition. If the handler is gone for good, discard its letters",
				"consumer_group", header.Group, "topic", header.Topic, "handler", header.Handler)
		}
		return result
	}
}

const (
	// busyWait, foreverWait and unknownWait are how long deliveries are
	// postponed that are woken before, usually: when another run of their
	// letter has ended; when something is done with their letter; and after
	// the index could not read the log.
	busyWait    = time.Minute
	foreverWait = 24 * time.Hour
	unknownWait = time.Second
)

// judge says whether a record is to be run now; if not, what Run returns.
func (r *Reader) judge(ctx context.Context, tp kafka.TopicPartition, offset int64, header letters.Header) (now bool, result error) {
	says := r.index.judge(tp, header.ID, offset)
	if says == unknown {
		began := time.Now()
		if err := r.index.learn(ctx, tp, header.ID, offset); err != nil {
			r.log.Debug("events: a dead-letter topic could not be read; it is tried again", "wire_topic", tp.Topic, "partition", tp.Partition, "error", err)
			return false, delivery.NotBefore(time.Now().Add(unknownWait))
		}
		if deadline, _ := ctx.Deadline(); time.Until(deadline) > 10*time.Since(began) {
			says = r.index.judge(tp, header.ID, offset)
		}
	}
	switch says {
	case unknown:
		// What was read must not cost the handler its time: it runs again,
		// with the whole of it.
		return false, delivery.NotBefore(time.Now())
	case passOver:
		return false, nil
	case busy:
		return false, delivery.NotBefore(time.Now().Add(busyWait))
	}
	if !header.NotBefore.After(time.Now()) {
		return true, nil
	}
	if delivery.Pressed(ctx) {
		return false, delivery.ToSink(outcome{kind: letters.Copy})
	}
	return false, delivery.NotBefore(header.NotBefore)
}

// Letters returns what the engine runs for a handler that is registered for a
// dead-letter topic itself: it gets the letters, each time an event fails, and
// foreign records; not what was done with them. The events' BaseTopic is
// baseTopic, or what the letter says if that is "", or otherwise.
func (r *Reader) Letters(baseTopic, otherwise string, run func(context.Context, []*eventmodels.Message) error, ran func(time.Duration, error)) func(context.Context, []*eventmodels.Message) error {
	return func(ctx context.Context, ms []*eventmodels.Message) error {
		record := delivery.RecordOf(ctx)
		header, _, err := letters.Parse(record.Headers)
		if err == nil && header.Kind != letters.Letter || err != nil && !errors.Is(err, letters.ErrForeign) {
			return nil
		}
		event := *record
		event.Timestamp = header.EventTime(record)
		m, err := cloudevents.Decode(&event)
		if err != nil {
			return err
		}
		m.Topic = ms[0].Topic
		m.BaseTopic = cmp.Or(baseTopic, header.Topic, otherwise)
		m.ConsumerGroup, m.HandlerName, m.Attempt = ms[0].ConsumerGroup, ms[0].HandlerName, ms[0].Attempt
		if header.Origin.Topic != "" {
			ctx = withOrigin(ctx, mark.Origin{Topic: header.Origin.Topic, Partition: header.Origin.Partition, Offset: header.Origin.Offset, Timestamp: m.Timestamp})
		}
		return timed(func() error { return run(ctx, []*eventmodels.Message{&m}) }, ran)
	}
}

var errPanicked = errors.New("the handler has panicked")

// timed runs a handler and tells ran how long it took. A panic goes on to the
// engine, which makes an error of it.
func timed(run func() error, ran func(time.Duration, error)) (err error) {
	began := time.Now()
	err = errPanicked // until run has returned
	defer func() { ran(time.Since(began), err) }()
	return run()
}

// message makes the message as the handler got it when it failed first.
func (r *Reader) message(record *kafka.Record, header letters.Header, own []kafka.Header) (*eventmodels.Message, error) {
	event := *record
	event.Headers, event.Timestamp = own, header.EventTime(record)
	m, err := cloudevents.Decode(&event)
	if err != nil {
		return nil, err
	}
	m.Topic = header.Topic
	if header.Origin.Topic != "" {
		m.Topic = r.topicOf(kafka.WireTopic(header.Origin.Topic))
		m.Partition, m.Offset = header.Origin.Partition, header.Origin.Offset
	}
	return &m, nil
}

// concerns says whether a record is of this group and topic. Topics' names are
// ambiguous: ("a.b", "c") and ("a", "b.c") share one.
func concerns(header letters.Header, h mark.Handler) bool {
	return header.Group == h.Group && header.Topic == h.BaseTopic
}

// runnable says whether a record may be one that is run.
func runnable(header letters.Header) bool {
	return header.Kind == letters.Replay || (header.Kind == letters.Letter || header.Kind == letters.Copy) && header.Mode == letters.Retry
}

func placeOf(r *kafka.Record) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: kafka.WireTopic(r.Topic), Partition: r.Partition}
}
