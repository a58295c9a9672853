package events

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/deadletter"
	"github.com/seed46dd6f11/events/internal/testseam"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// settings are what the setters edit. Each default stands beside its field.
type settings struct {
	prefix string             // ""
	logger *slog.Logger       // slog.Default(), or the Tracer given to Configure
	tracer eventmodels.Tracer // logger

	heartbeat     time.Duration      // 10 s
	broadcastName string             // broadcastConsumer with a database, broadcastLFConsumer without
	onGap         func(topic string) // nothing

	provider   trace.TracerProvider          // none: no spans
	propagator propagation.TextMapPropagator // W3C Trace Context and Baggage
	tracing    *tracing.Tracer               // made of these two

	dial func(ctx context.Context, network, address string) (net.Conn, error) // net.Dialer

	balancers   []GroupBalancer // BalanceCooperativeSticky
	rack        string          // ""
	instanceID  string          // "": no static member
	compression Compression     // "": snappy for Produce, none for the relay
	sizeFloor   int             // 0

	maxRunning    int  // 20
	enhanceDB     bool // true
	lazyTx        bool // false
	skipNotifiers bool // false

	topics map[string]kafka.TopicConfig // by unprefixed name

	markRetention time.Duration // 30 days

	letterBackoff backoff.Schedule                       // 1 min to 30 min
	letterCause   func(handler string, err error) string // deadletter.Cause

	shutdownLimit time.Duration // 30 s

	intercept testseam.Interceptor // nil; only of eventtest
}

const (
	defaultMaxRunning    = 20
	defaultShutdownLimit = 30 * time.Second
)

func defaultSettings() settings {
	return settings{
		heartbeat:     defaultHeartbeat,
		maxRunning:    defaultMaxRunning,
		enhanceDB:     true,
		topics:        make(map[string]kafka.TopicConfig),
		markRetention: eventdb.DefaultMarkRetention,
		letterBackoff: deadletter.DefaultBackoff,
		shutdownLimit: defaultShutdownLimit,
	}
}

// edit changes the settings of a library that does not run yet. It panics if
// it does: what was set would change nothing.
func (l *LibraryNoDB) edit(setter string, change func(*settings)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase >= phaseRunning {
		panic(fmt.Sprintf("events: %s was called when the Library ran already; call it before StartConsuming, CatchUpProduce and Produce", setter))
	}
	change(&l.settings)
}

// editBeforeConfigure is edit for what Configure acts on.
func (l *LibraryNoDB) editBeforeConfigure(setter string, change func(*settings)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase >= phaseConfigured {
		panic(fmt.Sprintf("events: %s was called after Configure, which has done already what it is about; call it before", setter))
	}
	change(&l.settings)
}

// SetPrefix puts prefix before the names of all topics and consumer groups in
// the Kafka cluster, so that several installations can share one. It is also
// the outbox's scope. The default is none. It panics if prefix has other
// characters than names may have.
func (l *LibraryNoDB) SetPrefix(prefix string) {
	if prefix != "" && !LegalTopicNames.MatchString(prefix) {
		panic(fmt.Sprintf("events: SetPrefix(%q): a prefix has at most %d of the characters [-._a-zA-Z0-9]", prefix, maxName))
	}
	l.edit("SetPrefix", func(s *settings) { s.prefix = prefix })
}

// SetLogger makes the library log to logger instead of to the Tracer given to
// Configure, or to slog.Default() if there is none. Nothing is logged per
// event at levels above Debug, and never a payload, key or password.
func (l *LibraryNoDB) SetLogger(logger *slog.Logger) {
	if logger == nil {
		panic("events: SetLogger(nil); use slog.New(slog.DiscardHandler) to log nothing")
	}
	l.edit("SetLogger", func(s *settings) { s.logger = logger })
}

// SetTracerProvider makes the library trace with OpenTelemetry: an event that
// is produced continues the trace of the context given to Transact or Produce,
// through the outbox and Kafka, to its handlers and the events that these
// produce. The spans follow OpenTelemetry's messaging conventions (semantic
// conventions 1.43.0): "create <topic>" and "send <topic>" for producing, "send
// <topic>" for what the relay sends, "process <topic>" for each attempt of a
// handler. The span of a batch has links to its events' instead of a parent.
//
// The default is no tracing, which costs nothing; for the process's provider
// pass otel.GetTracerProvider(). A nil provider is the default, too.
func (l *LibraryNoDB) SetTracerProvider(provider trace.TracerProvider) {
	l.edit("SetTracerProvider", func(s *settings) {
		s.provider = provider
		s.tracing = tracing.New(s.provider, s.propagator)
	})
}

// SetPropagator says how the context of a trace travels in the headers of
// events, once SetTracerProvider was called. The default is W3C Trace Context
// and Baggage: the headers traceparent, tracestate and baggage. Baggage is
// stored in the outbox and in Kafka and read by every consumer: without it,
// pass propagation.TraceContext{}.
func (l *LibraryNoDB) SetPropagator(propagator propagation.TextMapPropagator) {
	l.edit("SetPropagator", func(s *settings) {
		s.propagator = propagator
		s.tracing = tracing.New(s.provider, s.propagator)
	})
}

// SetMaxRunningHandlers bounds how many handlers run at the same time in this
// Library: every handler can always run once, and the rest is shared.
// Broadcast handlers have as many slots of their own. The default is 20. It
// panics if n is not positive.
func (l *LibraryNoDB) SetMaxRunningHandlers(n int) {
	if n <= 0 {
		panic(fmt.Sprintf("events: SetMaxRunningHandlers(%d): at least 1 is needed", n))
	}
	l.edit("SetMaxRunningHandlers", func(s *settings) { s.maxRunning = n })
}

// SetTopicConfig announces a topic: how it is created if it does not exist,
// and, where Configure was told that all topics must be announced, that it
// may be used. Zero fields of config get the defaults: 2 partitions,
// replication min(3, brokers), min.insync.replicas one less than that (at
// least 1), LogAppendTime. A topic that exists is left as it is. It panics if
// the topic's name is illegal.
func (l *LibraryNoDB) SetTopicConfig(config kafka.TopicConfig) {
	l.edit("SetTopicConfig", func(s *settings) {
		if err := l.checkTopic(config.Topic, ""); err != nil {
			panic(fmt.Sprintf("events: SetTopicConfig: %v", err))
		}
		s.topics[config.Topic] = config
	})
}

// SetDialer makes the library open its connections to brokers with dial, for
// proxies, tunnels and in-process networks (eventembed.Network). TLS is put on
// top of what it returns. The default is net.Dialer.
func (l *LibraryNoDB) SetDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	l.edit("SetDialer", func(s *settings) { s.dial = dial })
}

// OnBroadcastGap makes the library call gap when broadcast events of a topic
// were removed from Kafka before this process has read them, so that a cache
// can be flushed. It is called from the goroutine that fetches: it must
// return soon.
func (l *LibraryNoDB) OnBroadcastGap(gap func(topic string)) {
	l.edit("OnBroadcastGap", func(s *settings) { s.onGap = gap })
}

// SkipNotifierSupport keeps Configure from consuming for the notifiers of
// [RegisterFiltered] and [RegisterUnfiltered]: for a second Library of a
// process, or a tool that shares packages with a service. It panics after
// Configure.
func (l *LibraryNoDB) SkipNotifierSupport() {
	l.editBeforeConfigure("SkipNotifierSupport", func(s *settings) { s.skipNotifiers = true })
}

// SetBroadcastConsumerBaseName sets the first part of the name that
// GetBroadcastConsumerGroupName returns. The default is broadcastConsumer,
// or broadcastLFConsumer without a database.
func (l *Library[ID, TX, DB]) SetBroadcastConsumerBaseName(name string) {
	if !LegalTopicNames.MatchString(name) {
		panic(fmt.Sprintf("events: SetBroadcastConsumerBaseName(%q): a name has 1 to %d of the characters [-._a-zA-Z0-9]", name, maxName))
	}
	l.edit("SetBroadcastConsumerBaseName", func(s *settings) { s.broadcastName = name })
}

// SetBroadcastConsumerMaxLocks is accepted for compatibility and has nothing
// left to do: broadcast consumers have no numbers that are locked.
func (l *Library[ID, TX, DB]) SetBroadcastConsumerMaxLocks(uint32) {}

// DoNotLockBroadcastConsumerNumbers is accepted for compatibility and has
// nothing left to do: broadcast consumers have no numbers that are locked.
func (l *Library[ID, TX, DB]) DoNotLockBroadcastConsumerNumbers() {}

// SetEnhanceDB says whether Configure connects the database to the Library, so
// that transactions of it can produce. The default is true. With false they can
// produce, and ProduceTx can, only if AugmentWithProducer is called otherwise;
// Produce does not need it. It panics after Configure.
func (l *Library[ID, TX, DB]) SetEnhanceDB(enhance bool) {
	l.editBeforeConfigure("SetEnhanceDB", func(s *settings) { s.enhanceDB = enhance })
}

// SetLazyTxProduce says what becomes of the events of a transaction in a
// process that runs no CatchUpProduce: with false, the default, they are
// relayed before Transact returns; with true they wait for the relay of
// another process.
func (l *Library[ID, TX, DB]) SetLazyTxProduce(lazy bool) {
	l.edit("SetLazyTxProduce", func(s *settings) { s.lazyTx = lazy })
}
