package events

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/segmentio/kafka-go/sasl"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// phase is where in its life a Library is.
type phase int

const (
	phaseNew        phase = iota // made by New
	phaseConfigured              // Configure was called
	phaseRunning                 // used for the first time
	phaseStopped                 // Shutdown was called
)

// Library is the one object of a service that produces and consumes events.
// New makes it; the zero value is not usable. ID is the type of outbox ids,
// TX the service's transaction type, DB its database connection. The packages
// of the databases (eventpg, eventsqlite, eventnodb) have shorter names for
// it. All methods may be called by several goroutines at once.
type Library[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]] struct {
	LibraryNoDB

	db DB // written by Configure; hasDB says whether it is there

	relay    relayState
	consumer consumerState
}

// LibraryNoDB is the part of a [Library] that does not depend on its type
// parameters. There is none without a Library.
type LibraryNoDB struct {
	// ProduceSyncCount counts the passes over the outbox that a commit made
	// itself, since the process runs no CatchUpProduce.
	ProduceSyncCount atomic.Uint64

	instanceID int32
	source     string // default CloudEvents source

	mu            sync.Mutex
	phase         phase                // guarded by mu
	settings      settings             // written under mu before phaseRunning, then constant
	hasDB         bool                 // written by Configure
	mustRegister  bool                 // written by Configure
	kafkaConfig   kafka.Config         // written by Configure
	handlers      []*registeredHandler // guarded by mu until phaseRunning, then constant
	client        *kafka.Client        // guarded by mu; made at first use
	broadcastName string               // guarded by mu; "" before StartConsuming

	pausing      pausing // guarded by mu
	errors       errorPacer
	beat         heartbeat
	gaps         atomic.Int64                 // of broadcasts
	outbox       atomic.Pointer[outboxSample] // nil unless this process relays
	askingLimits sync.Map                     // kafka.WireTopic -> true: its limit is being asked for
	produced     producedTopics
}

var lastInstanceID atomic.Int32

// New makes a Library. It may be called from init() and for package
// variables; the Library is not ready until Configure.
func New[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]]() *Library[ID, TX, DB] {
	l := &Library[ID, TX, DB]{}
	l.instanceID = lastInstanceID.Add(1)
	l.source = defaultSource()
	l.settings = defaultSettings()
	return l
}

// defaultSource is the program's name, as a relative URI reference.
func defaultSource() string {
	name := filepath.Base(os.Args[0])
	clean := make([]byte, 0, len(name))
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			clean = append(clean, c)
		}
	}
	if len(clean) == 0 {
		return "unknown"
	}
	return string(clean)
}

// Configure connects the Library with its database and brokers. It does not
// use the network. Consume* may be called before or after it, and neither
// once the Library runs.
//
// conn may be nil (or hold a nil pointer) for a service without database:
// then CatchUpProduce and ProduceFromTable return an error, and StartConsuming
// does if there is an exactly-once handler. A connection belongs to one
// Library.
//
// tracer gets log lines if SetLogger was not called; it may be nil. With
// mustRegisterTopics, topics that were not announced with SetTopicConfig are
// refused. saslMechanism and tlsConfig may be nil. brokers are host:port
// addresses of some of the cluster's brokers.
//
// Configure panics if it is called twice or after the Library has run.
func (l *Library[ID, TX, DB]) Configure(conn DB, tracer eventmodels.Tracer, mustRegisterTopics bool, saslMechanism sasl.Mechanism, tlsConfig *TLSConfig, brokers []string) {
	skipNotifiers := l.configure(conn, tracer, mustRegisterTopics, saslMechanism, tlsConfig, brokers)
	if !skipNotifiers {
		addNotifiers(l)
	}
}

func (l *Library[ID, TX, DB]) configure(conn DB, tracer eventmodels.Tracer, mustRegisterTopics bool, saslMechanism sasl.Mechanism, tlsConfig *TLSConfig, brokers []string) (skipNotifiers bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.phase == phaseConfigured:
		panic("events: Configure was called twice; a Library is configured once")
	case l.phase > phaseConfigured:
		panic("events: Configure was called on a Library that runs or has run")
	}
	l.phase = phaseConfigured
	l.settings.tracer = tracer
	l.mustRegister = mustRegisterTopics
	l.kafkaConfig = kafka.Config{
		Brokers: slices.Clone(brokers),
		SASL:    saslMechanism,
		TLS:     tlsOf(tlsConfig),
	}
	if l.hasDB = !isNil(conn); l.hasDB {
		l.db = conn
		if l.settings.enhanceDB {
			conn.AugmentWithProducer(producerFor[ID, TX, DB]{l})
		}
	}
	return l.settings.skipNotifiers
}

func tlsOf(c *TLSConfig) *tls.Config {
	if c == nil {
		return nil
	}
	return c.Config
}

// isNil reports whether v is nil, or an interface that holds a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Interface, reflect.Slice:
		return r.IsNil()
	}
	return false
}

// IsConfigured reports whether Configure was called. It is false for a nil
// Library.
func (l *Library[ID, TX, DB]) IsConfigured() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase >= phaseConfigured
}

// DB returns the database that was given to Configure, nil if there is none.
func (l *Library[ID, TX, DB]) DB() eventmodels.AbstractDB[ID, TX] {
	if !l.HasDB() {
		return nil
	}
	return l.db
}

// HasDB reports whether Configure was given a database.
func (l *Library[ID, TX, DB]) HasDB() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hasDB
}

// InstanceID is a number that no other Library of this process has.
func (l *LibraryNoDB) InstanceID() int32 { return l.instanceID }

// Tracer returns the tracer given to Configure, or one that logs at level
// Info.
func (l *LibraryNoDB) Tracer() eventmodels.Tracer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settings.tracer != nil {
		return l.settings.tracer
	}
	return slogTracer{l.loggerLocked()}
}

func (l *LibraryNoDB) logger() *slog.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loggerLocked()
}

func (l *LibraryNoDB) loggerLocked() *slog.Logger {
	switch {
	case l.settings.logger != nil:
		return l.settings.logger
	case l.settings.tracer != nil:
		return slog.New(newTracerHandler(l.settings.tracer))
	}
	return slog.Default()
}

// run moves a configured library to phaseRunning. Its error says why it
// cannot.
func (l *LibraryNoDB) run() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runLocked()
}

func (l *LibraryNoDB) runLocked() error {
	switch l.phase {
	case phaseNew:
		return ErrNotConfigured
	case phaseStopped:
		return ErrStopped
	}
	l.phase = phaseRunning
	return nil
}

// kafkaClient returns the client for producing and administration, and makes
// it at first use. It does not use the network.
func (l *LibraryNoDB) kafkaClient() (*kafka.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kafkaClientLocked()
}

func (l *LibraryNoDB) kafkaClientLocked() (*kafka.Client, error) {
	if err := l.runLocked(); err != nil {
		return nil, err
	}
	if l.client != nil {
		return l.client, nil
	}
	cfg := l.connectConfig()
	client, err := kafka.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("configuration of Kafka: %w", err)
	}
	l.client = client
	return client, nil
}

// Shutdown drains the Library as the end of the contexts does, and then
// closes its connections to Kafka; the database connection stays the
// caller's. The order: fetching pauses; running handlers end; what is done is
// committed; groups leave; broadcast; the relay makes a last pass and releases
// its lease; producing ends. So Produce and Transact work until the last
// handler has returned. When ctx ends first, the rest is cut short, and the
// error (an [AbandonedError]) says what was abandoned; nothing is lost by
// that, but it is done again. Later calls wait for the first one.
func (l *Library[ID, TX, DB]) Shutdown(ctx context.Context) error {
	consumed := l.consumer.stop(ctx)
	relayed := l.relay.shutdown(ctx)

	l.mu.Lock()
	l.phase = phaseStopped
	client := l.client
	l.client = nil
	l.mu.Unlock()
	if client != nil {
		client.Close()
	}
	return errors.Join(consumed, relayed)
}
