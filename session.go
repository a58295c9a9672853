package events

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
	"github.com/seed46dd6f11/events/internal/deadletter"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// session is the consuming of one group, or of the broadcasts.
type session struct {
	group  string // "" for broadcasts
	engine *delivery.Engine
	// leave ends the source after the engine is drained.
	leave func(context.Context)
	// joined reports whether the group counts this process as a member; nil for
	// broadcasts.
	joined func() bool
	// letters is closed after the engine; nil: the group writes none.
	letters *deadletter.Writer
}

// slotsOf are the running places of a library: broadcasts have their own, so
// that a cache is not stale because a batch job is slow.
type slotsOf struct {
	groups, broadcast *delivery.Slots
	letters           *delivery.Slots  // so that letters and events do not wait for each other
	transactions      *delivery.Places // of exactly-once handlers; nil: no bound
}

func (l *Library[ID, TX, DB]) newSlots() slotsOf {
	s := slotsOf{groups: delivery.NewSlots(l.settings.maxRunning), broadcast: delivery.NewSlots(l.settings.maxRunning)}
	s.letters = s.groups.Beside(l.settings.maxRunning)
	if l.HasDB() {
		s.transactions = transactionPlaces(l.db)
	}
	return s
}

// openSession starts an engine for the handlers of a group, and what it
// fetches from.
func (l *Library[ID, TX, DB]) openSession(ctx context.Context, client *kafka.Client, group string, handlers []*registeredHandler, slots slotsOf) (*session, error) {
	runs := make(map[*registeredHandler]runFunc, len(handlers))
	for _, h := range handlers {
		runs[h] = l.intercepted(h.name, l.traced(group, l.wireTopic(h.topic), h.bind()))
	}
	letters := l.openLetters(client, group, handlers, runs, slots)
	cfg := delivery.Config{
		Group:    group,
		Slots:    slots.groups,
		Healthy:  l.healthy(client),
		Logger:   l.logger(),
		Values:   ctx,
		Decode:   letters.decode(l.decoder()),
		Observer: observer(group),
	}
	cfg.Limits.Shutdown = l.settings.shutdownLimit
	if group == "" {
		cfg.Slots = slots.broadcast
	}
	if l.HasDB() {
		cfg.Fault = l.db.Fault
	}
	for _, h := range handlers {
		cfg.Handlers = append(cfg.Handlers, l.engineHandler(h, runs[h], letters, slots))
	}
	if letters.writer != nil {
		cfg.Sink = letters.writer.Sink
		cfg.Handlers = append(cfg.Handlers, letters.handlers...)
	}
	engine, err := delivery.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("consumer group %q: %w", group, err)
	}
	l.addEngine(engine)
	var topics []kafka.WireTopic
	for _, h := range cfg.Handlers {
		if !slices.Contains(topics, h.WireTopic) {
			topics = append(topics, h.WireTopic)
		}
	}
	if group == "" {
		return l.openBroadcast(ctx, engine, l.connectConfig(), topics)
	}
	return l.openGroup(ctx, client, engine, letters, kafka.GroupConfig{
		Config: l.connectConfig(),
		Group:  l.settings.prefix + group,
		Topics: topics,
		Starts: l.starts(handlers),
	})
}

// engineHandler is a registered handler as the engine knows it.
func (l *LibraryNoDB) engineHandler(h *registeredHandler, run runFunc, letters *groupLetters, slots slotsOf) *delivery.Handler {
	batch, concurrency := h.limits()
	e := &delivery.Handler{
		Name: h.name, Topic: h.topic, WireTopic: l.wireTopic(h.topic), BaseTopic: h.baseTopic, OnFailure: h.onFailure,
		Timeout: h.timeout, NoRetry: h.noRetry, Concurrency: concurrency, QueueDepth: h.queueDepth, Backoff: h.backoff,
		Ordering: h.ordering, Batch: batch, Run: run, CopiesMessages: h.copiesMessages,
	}
	if h.kind == kindExactlyOnce {
		e.Atomic, e.Places = true, slots.transactions
	}
	if !h.deadLetter {
		e.Metrics = newHandlerMetrics(h)
		return e
	}
	e.Metrics = newLetterMetrics(h.group, h.name, h.topic, h.topic)
	e.Run, e.Batch, e.CopiesMessages = letters.runForLetters(h, run), 0, false
	if e.QueueDepth == 0 {
		e.QueueDepth = defaultLetterQueue
	}
	if h.group != "" {
		e.Slots = slots.letters
	}
	return e
}

// openGroup joins a consumer group with an engine.
func (l *Library[ID, TX, DB]) openGroup(ctx context.Context, client *kafka.Client, engine *delivery.Engine, letters *groupLetters, cfg kafka.GroupConfig) (*session, error) {
	group, log := engine.Group(), l.logger()
	cfg.Logger = log.With("consumer_group", group)
	cfg.Balancers = l.settings.groupBalancers()
	cfg.InstanceID = l.settings.instanceID
	cfg.OnTruncated = func(kafka.Truncation) { ErrorCounts.WithLabelValues("topic-truncated").Inc() }
	cfg.OnGap = func(kafka.Gap) { ErrorCounts.WithLabelValues("topic-gap").Inc() }
	cfg.OnSessionError = func(error) { ErrorCounts.WithLabelValues("group-session").Inc() }
	cfg.OnTopicRecreated = func(topic kafka.WireTopic) {
		ErrorCounts.WithLabelValues("topic-recreated").Inc()
		client.Forget(topic)
	}
	var told kafka.Assignments = engine
	if letters.writer != nil {
		letters.index.SetWake(engine.Wake)
		told = letters.tap.Assignments(engine)
	}
	member, err := kafka.NewGroup(cfg, observedAssignments{told, group})
	if err != nil {
		engine.Stop()
		return nil, fmt.Errorf("consumer group %q: %w", group, err)
	}
	if letters.writer != nil {
		engine.Start(letters.tap.Source(member), letters.tap.Committer(member))
	} else {
		engine.Start(member, member)
	}
	for _, change := range []string{"assigned", "revoked", "lost"} {
		Rebalances.WithLabelValues(group, change) // at 0: see ErrorCounts
	}
	sampling, stopSampling := context.WithCancel(context.WithoutCancel(ctx))
	var sampler sync.WaitGroup
	sampler.Go(func() {
		(&groupSampler{lib: &l.LibraryNoDB, client: client, engine: engine, group: group}).run(sampling)
	})
	return &session{group: group, engine: engine, letters: letters.writer, joined: member.Joined, leave: func(ctx context.Context) {
		stopSampling()
		sampler.Wait()
		if err := member.Leave(ctx); err != nil {
			log.Warn("the consumer group was not left; its partitions are assigned again when the session has timed out", "consumer_group", group, "error", err)
		}
		member.Close()
	}}, nil
}

// openBroadcast starts reading at the end of the topics.
func (l *Library[ID, TX, DB]) openBroadcast(ctx context.Context, engine *delivery.Engine, connect kafka.Config, topics []kafka.WireTopic) (*session, error) {
	connect.ClientID = l.GetBroadcastConsumerGroupName()
	for _, topic := range topics {
		BroadcastGaps.WithLabelValues(l.topicOf(topic)) // at 0: see ErrorCounts
	}
	reader, err := kafka.NewReader(ctx, kafka.ReaderConfig{
		Config: connect,
		Topics: topics,
		OnGap: func(topic kafka.WireTopic) {
			ErrorCounts.WithLabelValues("broadcast-gap").Inc()
			BroadcastGaps.WithLabelValues(l.topicOf(topic)).Inc()
			l.gaps.Add(1)
			if l.settings.onGap != nil {
				l.settings.onGap(l.topicOf(topic))
			}
		},
	})
	if err != nil {
		engine.Stop()
		return nil, fmt.Errorf("broadcast: %w", err)
	}
	engine.Start(reader, nil)
	return &session{engine: engine, leave: func(context.Context) { reader.Close() }}, nil
}

// closeSessions drains all at the same time, and then leaves the groups. It
// returns the handlers that still run.
func closeSessions(ctx context.Context, sessions []*session) (abandoned []string) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for _, s := range sessions {
		wg.Go(func() {
			left := s.engine.Drain(ctx)
			leaving, cancel := withGrace(ctx)
			s.leave(leaving)
			cancel()
			s.engine.Stop()
			if s.letters != nil {
				s.letters.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range left {
				// One for each run: the events of a batch were started together.
				if name := s.group + "/" + a.Handler.Name; a.Handler.Batch == 1 || !slices.Contains(abandoned, name) {
					abandoned = append(abandoned, name)
				}
			}
		})
	}
	wg.Wait()
	return abandoned
}

// leaveGrace is how long leaving a group may take when the time for the
// shutdown is over. A member that does not leave keeps its partitions from the
// others until its session has timed out, which is much longer.
const leaveGrace = time.Second

// withGrace returns a context that ends a little after ctx.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(leaveGrace, cancel) })
	return later, func() { stop(); cancel() }
}

// traced makes a span of each attempt.
func (l *LibraryNoDB) traced(group string, topic kafka.WireTopic, run runFunc) runFunc {
	tracer := l.settings.tracing
	if tracer == nil {
		return run
	}
	return func(ctx context.Context, ms []*eventmodels.Message) (err error) {
		ctx, span := tracer.Process(ctx, string(topic), group, ms)
		ended := false
		defer func() { // the handler may panic
			if !ended {
				span.End(tracing.ErrPanic)
			}
		}()
		err = run(ctx, ms)
		ended = true
		span.End(err)
		return err
	}
}

// decoder returns what makes the message of a record.
func (l *LibraryNoDB) decoder() func(*kafka.Record, *eventmodels.Message) error {
	read := cloudevents.NewDecoder()
	return func(r *kafka.Record, into *eventmodels.Message) error {
		err := read.Decode(r, into)
		into.Topic = l.topicOf(kafka.WireTopic(r.Topic))
		return err
	}
}

// healthy asks the servers that a verdict depends on.
func (l *Library[ID, TX, DB]) healthy(client *kafka.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		if l.HasDB() {
			if err := l.db.Ping(ctx); err != nil {
				return fmt.Errorf("the database does not answer: %w", err)
			}
		}
		if err := client.Ping(ctx); err != nil {
			return fmt.Errorf("the brokers do not answer: %w", err)
		}
		return nil
	}
}
