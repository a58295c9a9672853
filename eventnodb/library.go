package eventnodb

import (
	"github.com/segmentio/kafka-go/sasl"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Library is a Library without database, configured with [Library.ConfigureNoDB].
type Library struct {
	*events.Library[ID, *NoDBTx, *NoDB]
}

var (
	_ eventmodels.LibraryInterface = (*Library)(nil)
	_ events.CanConsumeBroadcast   = (*Library)(nil)
)

// New makes a Library. It may be called from init() and for package
// variables; the Library is not ready until ConfigureNoDB.
func New() *Library { return &Library{events.New[ID, *NoDBTx, *NoDB]()} }

// ConfigureNoDB connects the Library with its brokers. It does not use the
// network. Consume* may be called before or after it, and neither once the
// Library runs.
//
// tracer gets log lines if SetLogger was not called; it may be nil. With
// mustRegisterTopics, topics that were not announced with SetTopicConfig are
// refused. saslMechanism and tlsConfig may be nil. brokers are host:port
// addresses of some of the cluster's brokers.
//
// ConfigureNoDB panics if it is called twice or after the Library has run.
func (l *Library) ConfigureNoDB(tracer eventmodels.Tracer, mustRegisterTopics bool, saslMechanism sasl.Mechanism, tlsConfig *events.TLSConfig, brokers []string) {
	l.Library.Configure(nil, tracer, mustRegisterTopics, saslMechanism, tlsConfig, brokers)
}

// Configure is ConfigureNoDB for code that is written for any Library: the
// first argument changes nothing, there is no database.
func (l *Library) Configure(_ *NoDB, tracer eventmodels.Tracer, mustRegisterTopics bool, saslMechanism sasl.Mechanism, tlsConfig *events.TLSConfig, brokers []string) {
	l.ConfigureNoDB(tracer, mustRegisterTopics, saslMechanism, tlsConfig, brokers)
}

// IsConfigured reports whether ConfigureNoDB was called. It is false for a
// nil Library.
func (l *Library) IsConfigured() bool { return l != nil && l.Library.IsConfigured() }
