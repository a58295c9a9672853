package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// reachTimeout is how long StartConsuming waits for a broker to answer.
const reachTimeout = 10 * time.Second

// retryStart is the pause between two attempts to begin consuming.
var retryStart = backoff.Schedule{Min: 200 * time.Millisecond, Max: 15 * time.Second, Jitter: 0.2}

// consumerState is what a Library knows about its consuming.
type consumerState struct {
	mu  sync.Mutex
	run *consumption // guarded by mu; nil before StartConsuming

	closed bool // guarded by mu; Shutdown was called
}

// consumption is the time between StartConsuming and its end.
type consumption struct {
	// ctx ends when the context given to StartConsuming does, or with
	// Shutdown: consuming drains.
	ctx    context.Context
	cancel context.CancelFunc
	// limit ends when Shutdown cuts the drain short.
	limit    context.Context
	cutShort context.CancelFunc

	started chan struct{}
	stopped chan struct{}

	sessions  []*session // written before started is closed, then constant
	abandoned []string   // handlers; written before stopped is closed
}

// StartConsuming starts the registered handlers. started closes when they are
// ready: the topics exist and every broadcast handler gets what is appended
// from then on. stopped closes when consuming has ended, after ctx has: no
// new handler starts, running ones get their time (up to 30 s), what is done is
// committed, and the groups are left.
//
// The error says what is wrong before anything is started: not configured, a
// second call ([ErrAlreadyStarted]), an exactly-once handler without database
// ([ErrNoDatabase]), topics that were not announced ([UnregisteredTopicError]),
// no broker that answers ([ErrUnreachable], after 10 s), wrong credentials
// ([ErrAuthentication]) or TLS certificates ([ErrCertificate]). After an error
// StartConsuming can be called again. What fails later is logged and tried again.
// If ctx ends before the handlers are ready, that is no error: started stays open,
// and stopped closes.
func (l *Library[ID, TX, DB]) StartConsuming(ctx context.Context) (started chan struct{}, stopped chan struct{}, err error) {
	run, err := l.prepareConsuming(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("StartConsuming: %w", err)
	}
	go l.consume(run)
	return run.started, run.stopped, nil
}

// StartConsumingOrPanic is [Library.StartConsuming] that returns when the
// handlers are ready, or when ctx has ended before, and panics with its error.
func (l *Library[ID, TX, DB]) StartConsumingOrPanic(ctx context.Context) (stopped chan struct{}) {
	started, stopped, err := l.StartConsuming(ctx)
	if err != nil {
		panic(fmt.Sprintf("events: %v", err))
	}
	select {
	case <-started:
	case <-stopped:
	}
	return stopped
}

func (l *Library[ID, TX, DB]) prepareConsuming(ctx context.Context) (*consumption, error) {
	if err := l.run(); err != nil {
		return nil, err
	}
	if err := l.checkHandlers(); err != nil {
		return nil, err
	}
	run := &consumption{started: make(chan struct{}), stopped: make(chan struct{})}
	run.ctx, run.cancel = context.WithCancel(ctx)
	run.limit, run.cutShort = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.consumer.begin(run); err != nil {
		run.cancel()
		run.cutShort()
		return nil, err
	}
	reaching, cancel := context.WithTimeout(run.ctx, reachTimeout)
	defer cancel()
	if err := l.reach(reaching); err != nil && run.ctx.Err() == nil {
		l.consumer.giveUp(run)
		return nil, err
	}
	l.nameBroadcast()
	return run, nil
}

// begin makes run the one.
func (s *consumerState) begin(run *consumption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrStopped
	case s.run != nil:
		return ErrAlreadyStarted
	}
	s.run = run
	return nil
}

// giveUp undoes begin, so that StartConsuming can be called again. A Shutdown
// may wait for the channel.
func (s *consumerState) giveUp(run *consumption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run.cancel()
	run.cutShort()
	close(run.stopped)
	s.run = nil
}

// checkHandlers finds what is wrong without network.
func (l *Library[ID, TX, DB]) checkHandlers() error {
	l.mu.Lock()
	handlers, hasDB := l.handlers, l.hasDB
	l.mu.Unlock()
	var topics []string
	for _, h := range handlers {
		if h.kind == kindExactlyOnce && !hasDB {
			return fmt.Errorf("handler %q of topic %q is exactly-once: %w", h.name, h.topic, ErrNoDatabase)
		}
		// The prefix may have been set after the handler was registered.
		if err := l.checkTopic(h.topic, h.letterGroup()); err != nil {
			return fmt.Errorf("handler %q: %w", h.name, err)
		}
		if !h.deadLetter {
			topics = append(topics, h.topic)
		}
	}
	if missing := l.unregistered(topics); len(missing) > 0 {
		return &UnregisteredTopicsError{Topics: missing}
	}
	return nil
}

// reach makes sure that the addresses and credentials are right.
func (l *LibraryNoDB) reach(ctx context.Context) error {
	client, err := l.kafkaClient()
	if err != nil {
		return err
	}
	err = client.Ping(ctx)
	if err == nil {
		return nil
	}
	if refused := refusal(err); refused != nil {
		return refused
	}
	return errors.Join(ErrUnreachable, err)
}

// refusal gives the refusal of a connection a type that users can tell apart;
// nil if err is something else.
func refusal(err error) error {
	switch {
	case kafka.CredentialsRefused(err):
		return errors.Join(ErrAuthentication, err)
	case kafka.CertificateRefused(err):
		return errors.Join(ErrCertificate, err)
	}
	return nil
}

// consume is the goroutine of a consumption.
func (l *Library[ID, TX, DB]) consume(run *consumption) {
	defer close(run.stopped)
	defer run.cancel()
	defer run.cutShort()
	sessions, ok := l.openSessions(run)
	if !ok {
		return
	}
	l.beat.arrived()
	run.sessions = sessions
	close(run.started)
	sweeper := l.startSweeper()
	var beating sync.WaitGroup
	if client, err := l.kafkaClient(); err == nil {
		if l.broadcasts() {
			beating.Go(func() { l.sendHeartbeats(run.ctx, client) })
		}
		beating.Go(func() { l.warnOfRetention(run.ctx, client) })
	}
	<-run.ctx.Done()
	beating.Wait()
	limit, cancel := context.WithTimeout(run.limit, l.settings.shutdownLimit)
	defer cancel()
	run.abandoned = closeSessions(limit, sessions)
	l.dropEngines()
	if sweeper != nil {
		sweeper.Stop()
	}
}

// openSessions begins to consume, and tries until it can. It returns false if
// consuming ended before.
func (l *Library[ID, TX, DB]) openSessions(run *consumption) ([]*session, bool) {
	for attempt := 1; run.ctx.Err() == nil; attempt++ {
		sessions, err := l.tryOpenSessions(run.ctx)
		if err == nil {
			return sessions, true
		}
		closeSessions(run.limit, sessions)
		l.dropEngines()
		if run.ctx.Err() != nil {
			break
		}
		_ = l.RecordErrorNoWait("start-consuming", fmt.Errorf("consuming cannot begin yet (attempt %d, it is tried again): %w", attempt, err))
		select {
		case <-time.After(retryStart.Delay(attempt, 0)):
		case <-run.ctx.Done():
		}
	}
	return nil, false
}

// tryOpenSessions creates the topics and opens one session per group, and one
// for broadcasts. With an error it returns those that it has opened.
func (l *Library[ID, TX, DB]) tryOpenSessions(ctx context.Context) (sessions []*session, err error) {
	client, err := l.kafkaClient()
	if err != nil {
		return nil, err
	}
	byGroup := make(map[string][]*registeredHandler)
	var groups, topics []string
	for _, h := range l.withHeartbeat(l.handlers) {
		if _, ok := byGroup[h.group]; !ok {
			groups = append(groups, h.group)
		}
		byGroup[h.group] = append(byGroup[h.group], h)
		if !h.deadLetter && !slices.Contains(topics, h.topic) {
			topics = append(topics, h.topic)
		}
	}
	if err := l.ensureTopics(ctx, client, topics); err != nil {
		return nil, err
	}
	if err := l.ensureLetterTopics(ctx, client, l.handlers); err != nil {
		return nil, err
	}
	slots := l.newSlots()
	slices.Sort(groups) // "", the broadcast, comes first: it is to see what the others produce
	for _, group := range groups {
		s, err := l.openSession(ctx, client, group, byGroup[group], slots)
		if err != nil {
			return sessions, err
		}
		sessions = append(sessions, s)
	}
	return sessions, nil
}

// broadcasts reports whether there are broadcast handlers.
func (l *LibraryNoDB) broadcasts() bool {
	return slices.ContainsFunc(l.handlers, func(h *registeredHandler) bool { return h.kind == kindBroadcast })
}

// withHeartbeat adds the heartbeat's handler where there are broadcasts.
func (l *LibraryNoDB) withHeartbeat(handlers []*registeredHandler) []*registeredHandler {
	if !l.broadcasts() {
		return handlers
	}
	return append(slices.Clone(handlers), l.heartbeatHandler())
}

func (l *Library[ID, TX, DB]) startSweeper() *eventdb.Sweeper {
	for _, h := range l.handlers {
		if h.kind == kindExactlyOnce {
			return eventdb.StartSweeper(eventdb.SweeperConfig{Open: l.db.OpenOutbox, Logger: l.logger(), Retention: l.settings.markRetention})
		}
	}
	return nil
}

// sameTime is how far apart things are that are done at the same time. Of two
// contexts that end together, because they have a parent in common, one ends
// first.
const sameTime = 250 * time.Millisecond

// waitIfDraining returns when consuming has ended, if it ends now, and else
// soon.
func (s *consumerState) waitIfDraining() {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	if run == nil {
		return
	}
	select {
	case <-run.ctx.Done():
		<-run.stopped
	case <-time.After(sameTime):
	}
}

// stop drains. If ctx ends first, what still runs is abandoned.
func (s *consumerState) stop(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	run := s.run
	s.mu.Unlock()
	if run == nil {
		return nil
	}
	run.cancel()
	var cut error
	select {
	case <-run.stopped:
	case <-ctx.Done():
		cut = ctx.Err()
		run.cutShort()
		<-run.stopped
	}
	if len(run.abandoned) > 0 || cut != nil {
		return &AbandonedError{Handlers: run.abandoned, Err: cut}
	}
	return nil
}
