package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
	"github.com/seed46dd6f11/events/internal/mark"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// DefaultBackoff is the wait between the retries of a letter.
var DefaultBackoff = backoff.Schedule{Min: time.Minute, Max: 30 * time.Minute, Jitter: 0.1}

// Producer writes records to the partitions that they name, and returns when
// the brokers have acknowledged them; a *kafka.Client does.
type Producer interface {
	ProducePlaced(ctx context.Context, records []*kafka.Record) error
	PartitionCount(ctx context.Context, topic kafka.WireTopic) (int, error)
	Forget(topic kafka.WireTopic)
}

// WriterConfig is what a writer is made of.
type WriterConfig struct {
	Producer Producer
	// Index learns what was written.
	Index *Index
	// Ensure creates dead-letter topics that do not exist.
	Ensure func(ctx context.Context, topics []kafka.WireTopic) error
	// Handlers by what the engine calls them: those whose events fail, and,
	// as handlers of the dead-letter topic, those whose letters are run.
	Handlers map[EngineHandler]*Handler
	// Backoff is the wait before a letter is tried again, by how often it was.
	Backoff backoff.Schedule
	// Cause groups failures. nil is [Cause].
	Cause func(handler string, err error) string
	// Instance names this process.
	Instance string
	// Written is told of each letter that was written and why the event has
	// failed, for metrics.
	Written func(*Handler, Reason)
	// Tracer makes a span of each letter that is written. nil: none.
	Tracer *tracing.Tracer
}

// EngineHandler is what is unique of a delivery.Handler in its engine.
type EngineHandler struct {
	Topic kafka.WireTopic
	Name  string
}

// Writer is the sink of a group's engine.
type Writer struct {
	cfg WriterConfig

	// life ends with Close.
	life  context.Context
	close context.CancelFunc

	// The engine calls the sink from one goroutine, so what follows has no
	// lock.

	// partitions of dead-letter topics, as counted at a time.
	partitions map[kafka.WireTopic]counted
	// flights are the records that are on their way. What is not acknowledged
	// in the time of one call is not sent a second time: the producer keeps it
	// and sends it as often as it takes, so that all of the copies would
	// arrive in the end.
	flights map[flightKey]*flight
	flying  sync.WaitGroup
}

// flightKey is a delivery: in another assignment its record is another one.
type flightKey struct {
	record  *kafka.Record
	handler string
}

// flight is a record that is on its way. page is the writer's; offset, err and
// landed, when it was over, are written before done is closed.
type flight struct {
	page   *page
	done   chan struct{}
	offset int64
	err    error
	landed time.Time
}

type counted struct {
	n  int
	at time.Time
}

// NewWriter makes a writer.
func NewWriter(cfg WriterConfig) *Writer {
	if cfg.Cause == nil {
		cfg.Cause = Cause
	}
	w := &Writer{cfg: cfg, partitions: make(map[kafka.WireTopic]counted), flights: make(map[flightKey]*flight)}
	w.life, w.close = context.WithCancel(context.Background())
	return w
}

// Close gives up what is on its way. The engine must have stopped.
func (w *Writer) Close() {
	w.close()
	w.flying.Wait()
}

// page is a record that is to be written.
type page struct {
	handler *Handler // nil for the letter of a handler that is not known
	header  letters.Header
	place   kafka.TopicPartition
	event   *kafka.Record
	reason  Reason // of a letter
}

// Sink is as delivery.Config.Sink says. A letter that the topic has no room for
// is written with less of its error's text.
func (w *Writer) Sink(ctx context.Context, out []*delivery.Outgoing) []error {
	errs := make([]error, len(out))
	flights := make([]*flight, len(out))
	w.ensure(ctx, out, errs)
	for i, o := range out {
		if errs[i] != nil {
			continue
		}
		key := flightKey{o.Record, o.Handler.Name}
		if f := w.flights[key]; f != nil {
			flights[i] = f
			continue
		}
		p, err := w.page(ctx, o)
		if err != nil {
			errs[i] = err
			continue
		}
		flights[i] = w.launch(p)
		w.flights[key] = flights[i]
	}
	for i, f := range flights {
		if f != nil {
			errs[i] = w.land(ctx, flightKey{out[i].Record, out[i].Handler.Name}, f)
		}
	}
	w.tidy()
	return errs
}

// launch writes a record, with less of the error's text if it is too large.
func (w *Writer) launch(p *page) *flight {
	f := &flight{page: p, done: make(chan struct{})}
	w.flying.Go(func() {
		defer func() { f.landed = time.Now(); close(f.done) }()
		span := w.cfg.Tracer.Forward(string(p.place.Topic), p.event.Headers)
		defer func() { span.End(f.err) }()
		for _, text := range []int{fullText, shortText, noText} {
			header := p.header
			if text != fullText {
				header.Error = letters.Shorten(header.Error, text)
			}
			r := header.Record(p.place, p.event)
			f.err = w.cfg.Producer.ProducePlaced(w.life, []*kafka.Record{r})
			if f.offset = r.Offset; !errors.Is(f.err, kafka.ErrTooBig) {
				return
			}
		}
	})
	return f
}

// How much of an error's text is written, in bytes.
const (
	fullText  = -1
	shortText = 200
	noText    = 0
)

// land waits for a flight, as long as ctx lasts.
func (w *Writer) land(ctx context.Context, key flightKey, f *flight) error {
	select {
	case <-f.done:
	case <-ctx.Done():
		select {
		case <-f.done:
		default:
			return fmt.Errorf("topic %s: the brokers have not acknowledged it yet: %w", f.page.place.Topic, ctx.Err())
		}
	}
	delete(w.flights, key)
	p := f.page
	if f.err != nil {
		if errors.Is(f.err, kafka.ErrTooBig) || errors.Is(f.err, kafka.ErrUnknownTopic) {
			// The topic may be another one, or have more room, next time.
			w.cfg.Producer.Forget(p.place.Topic)
			delete(w.partitions, p.place.Topic)
		}
		return fmt.Errorf("topic %s: %w", p.place.Topic, f.err)
	}
	w.cfg.Index.written(p.place, f.offset, p.header)
	if p.header.Kind == letters.Letter && w.cfg.Written != nil {
		w.cfg.Written(p.handler, p.reason)
	}
	return nil
}

// tidy forgets what has landed and nobody has asked for in a long time: its
// epoch has ended. Whose has not asks every few seconds (delivery.Limits.Resend),
// also for what was on its way for hours.
func (w *Writer) tidy() {
	const long = time.Minute
	for key, f := range w.flights {
		select {
		case <-f.done:
			if time.Since(f.landed) > long {
				delete(w.flights, key)
			}
		default:
		}
	}
}

// ensure creates the topics that are missing, within half of the time, which
// leaves the other half for the letters whose topics are there.
func (w *Writer) ensure(ctx context.Context, out []*delivery.Outgoing, errs []error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	seen := make(map[kafka.WireTopic]bool)
	var topics []kafka.WireTopic
	for i, o := range out {
		topic := w.topicOf(o)
		if w.handler(o) == nil && o.Err != nil {
			errs[i] = fmt.Errorf("no dead-letter topic for handler %q of topic %q", o.Handler.Name, o.Handler.Topic)
			continue
		}
		if !seen[topic] {
			seen[topic] = true
			topics = append(topics, topic)
		}
	}
	err := w.cfg.Ensure(ctx, topics)
	failed, all := byTopic(err)
	for i, o := range out {
		if errs[i] != nil {
			continue
		}
		if errs[i] = all; all == nil {
			errs[i] = failed[w.topicOf(o)]
		}
	}
}

// topicOf is where the letters of an outgoing delivery lie.
func (w *Writer) topicOf(o *delivery.Outgoing) kafka.WireTopic {
	if h := w.handler(o); h != nil {
		return h.Topic
	}
	return kafka.WireTopic(o.Record.Topic)
}

// byTopic takes an error of Ensure apart, so that a topic that cannot be
// created does not hold the letters of others: all is what concerns every topic.
func byTopic(err error) (failed map[kafka.WireTopic]error, all error) {
	failed = make(map[kafka.WireTopic]error)
	var look func(err error) error
	look = func(err error) error {
		switch e := err.(type) {
		case *kafka.TopicError:
			failed[e.Topic] = e
			return nil
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				if other := look(one); other != nil {
					return other
				}
			}
			return nil
		}
		return err
	}
	return failed, look(err)
}

func (w *Writer) handler(o *delivery.Outgoing) *Handler {
	return w.cfg.Handlers[EngineHandler{o.Handler.WireTopic, o.Handler.Name}]
}

// page makes what is to be written of a delivery.
func (w *Writer) page(ctx context.Context, o *delivery.Outgoing) (*page, error) {
	h := w.handler(o)
	if h == nil || kafka.WireTopic(o.Record.Topic) == h.Topic {
		return w.next(h, o)
	}
	return w.first(ctx, h, o)
}

// first is the letter of an event.
func (w *Writer) first(ctx context.Context, h *Handler, o *delivery.Outgoing) (*page, error) {
	r := o.Record
	origin := mark.Origin{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp}
	if o.Message != nil {
		origin.Timestamp = o.Message.Timestamp // as in the mark of an event that succeeds
	}
	header := letters.Header{
		Kind: letters.Letter, ID: idOf(h.Identity, o.Message, origin), Follows: letters.NoRecord,
		Origin: letters.Origin{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, Time: r.Timestamp,
	}
	n, err := w.count(ctx, h.Topic)
	if err != nil {
		return nil, err
	}
	w.failed(&header, h, o, 0)
	place := kafka.TopicPartition{Topic: h.Topic, Partition: letters.Partition(header.ID, n)}
	return &page{h, header, place, r, ReasonOf(o.Err)}, nil
}

// next is the record that follows one that was run, or that waits. h is nil for
// a handler that is not known.
func (w *Writer) next(h *Handler, o *delivery.Outgoing) (*page, error) {
	header, _, err := letters.Parse(o.Record.Headers)
	if err != nil {
		return nil, err // Run has read it
	}
	event := o.Record
	was := header
	header.Follows = o.Record.Offset
	what, _ := o.Note.(outcome)
	switch {
	case o.Err != nil:
		header = letters.Header{Kind: letters.Letter, ID: was.ID, Follows: o.Record.Offset, First: was.First, Origin: was.Origin, Time: was.EventTime(o.Record), Attempts: was.Attempts}
		if was.Kind == letters.Replay {
			header.Replay = was.Replay
		}
		w.failed(&header, h, o, was.NotBefore.Sub(was.Last))
	case what.kind == letters.Done:
		header = letters.Header{
			Kind: letters.Done, ID: was.ID, Group: was.Group, Handler: was.Handler, Topic: was.Topic, Follows: o.Record.Offset,
			Attempts: was.Attempts + what.attempts, Took: what.took,
		}
		if was.Kind == letters.Replay {
			header.Replay = was.Replay
		}
		event = &kafka.Record{Key: o.Record.Key}
	default:
		header.Time = was.EventTime(o.Record)
		if was.Kind == letters.Letter { // a replay that waits is copied as a replay: a copy would be a letter
			header.Kind = letters.Copy
		}
	}
	p := &page{handler: h, header: header, place: placeOf(o.Record), event: event}
	if o.Err != nil {
		p.reason = ReasonOf(o.Err)
	}
	return p, nil
}

// failed fills in what a failure says. waited is how long the letter that was
// tried had to wait, 0 or less if it had not.
func (w *Writer) failed(header *letters.Header, h *Handler, o *delivery.Outgoing, waited time.Duration) {
	header.Group, header.Handler, header.Topic = h.Identity.Group, h.Identity.Name, h.Identity.BaseTopic
	header.Mode = h.Mode
	header.Error = fmt.Sprint(o.Err) // which survives an Error method that panics
	header.Cause = letters.Shorten(w.cause(h.Identity.Name, o.Err), causeText)
	header.Attempts += o.Attempts
	header.Last = o.Last
	if header.First.IsZero() {
		header.First = o.First
	}
	header.Instance = w.cfg.Instance
	if h.Mode == letters.Retry {
		wait := nextWait(w.cfg.Backoff, waited, rand.Float64())
		if asked, ok := eventmodels.GetRetryAfter(o.Err); ok {
			wait = max(asked, leastWait)
		}
		header.NotBefore = o.Last.Add(wait)
	}
}

// leastWait is how long a letter waits at least, whatever its handler's error
// asks for: each time it fails its event is written to the log again.
const leastWait = time.Second

// cause asks the hook, which is the application's, as the error is.
func (w *Writer) cause(handler string, err error) string {
	for _, of := range []func(string, error) string{w.cfg.Cause, Cause} {
		if cause, ok := safely(of, handler, err); ok {
			return cause
		}
	}
	return ""
}

func safely(of func(string, error) string, handler string, err error) (cause string, ok bool) {
	defer func() {
		if recover() != nil {
			cause, ok = "", false
		}
	}()
	return of(handler, err), true
}

// nextWait is how long a letter waits that has waited before; the first time,
// that is 0. It doubles, within the schedule.
func nextWait(s backoff.Schedule, waited time.Duration, rnd float64) time.Duration {
	doubled := max(waited, 0)
	if doubled < s.Max {
		doubled *= 2
	}
	s.Min = min(max(s.Min, doubled), max(s.Max, s.Min))
	return s.Delay(1, rnd)
}

// count returns how many partitions a dead-letter topic has, as it was a minute
// ago at most.
func (w *Writer) count(ctx context.Context, topic kafka.WireTopic) (int, error) {
	if c, ok := w.partitions[topic]; ok && time.Since(c.at) < time.Minute {
		return c.n, nil
	}
	n, err := w.cfg.Producer.PartitionCount(ctx, topic)
	if err != nil {
		return 0, err
	}
	w.partitions[topic] = counted{n, time.Now()}
	return n, nil
}
