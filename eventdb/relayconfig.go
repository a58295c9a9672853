package eventdb

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/tracing"
)

// Sender writes rows to Kafka; see the package lanes, whose Sender it is.
type Sender interface {
	Start()
	// Send takes rows in the order in which they are to be written. It does
	// not block.
	Send(rows []*eventmodels.OutboxRow)
	// Resume lets rows of a topic through that was held.
	Resume(topic string)
	// Identify goes on under another identity.
	Identify(id lanes.Identity)
	// Stop waits for what is in flight until ctx ends.
	Stop(ctx context.Context)
}

// RelayObserver is told what the relay did, for metrics. Its methods must not
// block.
type RelayObserver interface {
	// Relayed is told of rows of a wire topic that Kafka has acknowledged.
	Relayed(topic string, rows []*eventmodels.OutboxRow)
	// Parked counts a row that Kafka has refused for itself.
	Parked(topic string)
	// Holding says whether this process holds the lease.
	Holding(holds bool)
	// Sampled is told the state of the outbox while this process holds the
	// lease.
	Sampled(stats eventmodels.OutboxStats)
	// Failed counts an error by what was tried: a few fixed words.
	Failed(operation string, err error)
}

// RelayConfig is what a [Relay] is made of.
type RelayConfig struct {
	// Scope is the outbox's, Owner unique to this Library.
	Scope, Owner string
	// Open opens the store; the relay closes it. The store connects again by
	// itself after it has lost its connections.
	Open func(context.Context) (eventmodels.OutboxStore, error)
	// ClusterID asks Kafka which cluster it is.
	ClusterID func(context.Context) (string, error)
	// NewProducerID asks Kafka for a producer id.
	NewProducerID func(context.Context) (int64, error)
	// NewSender makes a sender that reports to r.
	NewSender func(id lanes.Identity, r lanes.Report) (Sender, error)
	Observer  RelayObserver
	Logger    *slog.Logger
	// Tracer makes a span of each row that is sent; nil: none.
	Tracer *tracing.Tracer

	// LeaseTime is how long the lease outlives its last renewal. Default 10 s.
	LeaseTime time.Duration
	// Poll is the longest pause between two reads of an empty outbox.
	// Default 1 s.
	Poll time.Duration
	// BatchSize is the number of rows of a read. Default 500.
	BatchSize int
	// MaxRows and MaxBytes bound what was read and is not yet deleted.
	// Defaults: eight times BatchSize, at least 10,000; 64 MiB.
	MaxRows, MaxBytes int
	// Rescan is how often what was read before is looked at again in idle
	// moments, as a safety net.
	// Default 5 min.
	Rescan time.Duration
	// Sample is how often the state of the outbox is looked at. Default 15 s.
	Sample time.Duration
	// GapPatience closes gaps of backends without proof. Default 5 min.
	GapPatience time.Duration
	// StopLimit bounds the last pass after Stop. Default 10 s.
	StopLimit time.Duration
}

// defaults, all in one place.
func (c *RelayConfig) setDefaults() {
	setDefault(&c.LeaseTime, 10*time.Second)
	setDefault(&c.Poll, time.Second)
	setDefault(&c.BatchSize, 500)
	setDefault(&c.MaxRows, max(8*c.BatchSize, 10_000))
	setDefault(&c.MaxBytes, 64<<20)
	setDefault(&c.Rescan, 5*time.Minute)
	setDefault(&c.Sample, 15*time.Second)
	setDefault(&c.GapPatience, 5*time.Minute)
	setDefault(&c.StopLimit, 10*time.Second)
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
