package events

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// letInTimeout is how long CatchUpProduce waits to be told that the brokers do
// not let this process in.
const letInTimeout = 2 * time.Second

// lateTimeout bounds the pass for what was committed during a relay's last
// pass.
const lateTimeout = 5 * time.Second

// relayState is what a Library knows about its relay.
type relayState struct {
	mu      sync.Mutex
	running *relayRun // guarded by mu; the one of CatchUpProduce, nil before and after
	once    *oncer    // guarded by mu; relays for commits when nothing runs; nil until first needed
	closed  bool      // guarded by mu; Shutdown was called
}

// relayRun is a relay between CatchUpProduce and its end.
type relayRun struct {
	relay *eventdb.Relay
	stop  chan struct{} // closed by Shutdown
	halt  sync.Once
	done  chan struct{} // what CatchUpProduce returned
}

// CatchUpProduce starts the relay: it moves what transactions have put into
// the outbox to Kafka, for as long as this process holds the outbox's lease,
// and stands by while another process does. Run it in every instance.
//
// sleepTime is the longest pause between two looks at an empty outbox; commits
// in this process, and on PostgreSQL in others, are noticed at once. batchSize
// is the number of rows read at a time; 500 is a good value, 5000 the
// fastest. Values that are not positive mean 1 s and 500.
//
// The channel closes when the relay has ended: after ctx has ended it makes a
// last pass (of at most 10 s), behind consumers that stop at the same time, and
// releases the lease.
//
// The error says if the Library is not configured, has no database
// ([ErrNoDatabase]) or runs a relay already ([ErrAlreadyStarted]), if the
// outbox cannot be read, or if the brokers refuse the credentials
// ([ErrAuthentication]) or certificates do not fit ([ErrCertificate]). Brokers
// that do not answer are no error (they are waited for for 2 s at most): the
// relay tries again until they do.
func (l *Library[ID, TX, DB]) CatchUpProduce(ctx context.Context, sleepTime time.Duration, batchSize int) (chan struct{}, error) {
	relay, err := l.newRelay(sleepTime, batchSize)
	if err != nil {
		return nil, fmt.Errorf("CatchUpProduce: %w", err)
	}
	if err := l.letIn(ctx); err != nil {
		return nil, fmt.Errorf("CatchUpProduce: %w", err)
	}
	run := &relayRun{relay: relay, stop: make(chan struct{}), done: make(chan struct{})}
	if err := l.relay.begin(run); err != nil {
		return nil, fmt.Errorf("CatchUpProduce: %w", err)
	}
	if err := relay.Start(ctx); err != nil {
		l.relay.end(run)
		relay.Stop()
		close(run.done) // a Shutdown that has come meanwhile waits for it
		return nil, fmt.Errorf("CatchUpProduce: %w", err)
	}
	RelayLeaseHeld.WithLabelValues(l.settings.prefix) // 0 while it stands by
	l.learnLimits()
	go func() {
		defer close(run.done)
		select {
		case <-ctx.Done():
		case <-run.stop:
		}
		// Handlers that still run may produce: the relay outlives them.
		l.consumer.waitIfDraining()
		relay.Stop()
		l.relay.end(run)
		if relay.Missed() {
			// A transaction committed during the last pass.
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateTimeout)
			defer cancel()
			if err := l.ProduceFromTable(limited, nil); err != nil {
				l.logger().Warn("events that were committed while the relay stopped wait in the outbox for the next one", "error", err)
			}
		}
	}()
	return run.done, nil
}

// letIn returns an error if the brokers do not let this process in, as they
// will not by themselves. That they are away is no error.
func (l *LibraryNoDB) letIn(ctx context.Context) error {
	client, err := l.kafkaClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, letInTimeout)
	defer cancel()
	return refusal(client.Ping(ctx))
}

// begin makes run the running one.
func (s *relayState) begin(run *relayRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrStopped
	case s.running != nil:
		return ErrAlreadyStarted
	}
	s.running = run
	return nil
}

func (s *relayState) end(run *relayRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == run {
		s.running = nil
	}
}

// shutdown ends whatever relays.
func (s *relayState) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	run, once := s.running, s.once
	s.mu.Unlock()
	if run != nil {
		run.halt.Do(func() { close(run.stop) })
	}
	if once != nil {
		if err := once.stop(ctx); err != nil {
			return err
		}
	}
	if run == nil {
		return nil
	}
	select {
	case <-run.done:
		return nil
	case <-ctx.Done():
		return &AbandonedError{Err: fmt.Errorf("the relay's last pass was not waited for: %w", ctx.Err())}
	}
}

// ProduceFromTable sees to it that outbox rows that were committed reach
// Kafka; ids are theirs, by topic. Transact calls it; services call it after
// ProduceTx transactions of their own, to save the wait for the next poll.
//
// If a relay runs in this process it is woken. Else, unless
// SetLazyTxProduce(true) was called, the outbox is relayed here and now,
// older rows first, and the call returns when Kafka has acknowledged it; or
// the process that holds the lease is woken. An error means that the rows
// still wait in the outbox, from where they are sent later. Without a relay in
// this process each commit waits for Kafka, up to 10 s, also while Kafka is
// away: services run CatchUpProduce.
func (l *Library[ID, TX, DB]) ProduceFromTable(ctx context.Context, ids map[string][]ID) error {
	if err := l.run(); err != nil {
		return fmt.Errorf("ProduceFromTable: %w", err)
	}
	if !l.HasDB() {
		return fmt.Errorf("ProduceFromTable: %w", ErrNoDatabase)
	}
	began := time.Now()
	err := l.produceFromTable(ctx)
	ObserveProduceLatency(err, began)
	if err != nil {
		return fmt.Errorf("ProduceFromTable: %w", err)
	}
	return nil
}

func (l *Library[ID, TX, DB]) produceFromTable(ctx context.Context) error {
	l.relay.mu.Lock()
	run, once := l.relay.running, l.relay.once
	if run != nil {
		// With the lock: a relay that has ended asks afterwards, by Missed,
		// whether it was woken too late.
		run.relay.Wake()
	}
	if run == nil && !l.settings.lazyTx && once == nil && !l.relay.closed {
		relay, err := l.newRelay(0, 0)
		if err != nil {
			l.relay.mu.Unlock()
			return err
		}
		once = newOncer(relay)
		l.relay.once = once
	}
	closed := l.relay.closed
	l.relay.mu.Unlock()
	switch {
	case run != nil:
		ProduceFromTxSplit.WithLabelValues("relay").Inc()
		return nil
	case l.settings.lazyTx:
		ProduceFromTxSplit.WithLabelValues("lazy").Inc()
		return nil
	case closed:
		return ErrStopped
	}
	ProduceFromTxSplit.WithLabelValues("sync").Inc()
	l.ProduceSyncCount.Add(1)
	return once.pass(ctx)
}

// newRelay makes a relay of this Library's outbox.
func (l *Library[ID, TX, DB]) newRelay(poll time.Duration, batchSize int) (*eventdb.Relay, error) {
	if err := l.run(); err != nil {
		return nil, err
	}
	if !l.HasDB() {
		return nil, ErrNoDatabase
	}
	client, err := l.kafkaClient()
	if err != nil {
		return nil, err
	}
	return eventdb.NewRelay(eventdb.RelayConfig{
		Scope:     l.settings.prefix,
		Owner:     leaseOwner(),
		Open:      l.db.OpenOutbox,
		ClusterID: client.ClusterID,
		NewProducerID: func(ctx context.Context) (int64, error) {
			id, err := lanes.InitProducerID(ctx, client.Kgo())
			return id.ProducerID, err
		},
		NewSender: func(id lanes.Identity, r lanes.Report) (eventdb.Sender, error) {
			return lanes.New(lanes.Config{
				Client:   client.Kgo(),
				Identity: id,
				Report:   r,
				Logger:   l.logger().With("scope", l.settings.prefix),
				EnsureTopic: func(ctx context.Context, wireTopic string) error {
					client.Forget(kafka.WireTopic(wireTopic))
					return l.ensureTopics(ctx, client, []string{l.topicOf(kafka.WireTopic(wireTopic))})
				},
				Compression:     lanesCompression[l.settings.compression],
				MaxMessageBytes: func(wireTopic string) int { return l.limit(client, kafka.WireTopic(wireTopic)) },
			})
		},
		Observer:  relayObserver{&l.LibraryNoDB},
		Logger:    l.logger(), // the relay names its scope itself
		Tracer:    l.settings.tracing,
		Poll:      poll,
		BatchSize: batchSize,
	}), nil
}

// leaseOwner is unique, and tells a person who reads the lease's row which
// process it is.
func leaseOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}
