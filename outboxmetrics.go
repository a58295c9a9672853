package events

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of outbox and relay. scope is the library's prefix. The outbox's
// state is reported, every 15 s, by the process that holds its lease, and by no
// other.
var (
	// RelayLeaseHeld is 1 in the process that relays the outbox, 0 in those
	// that stand by. Its sum over all processes is 1, but for the seconds of
	// a takeover.
	RelayLeaseHeld = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_relay_lease_held", Help: "1 if this process holds the lease of the outbox and relays it.",
	}, []string{"scope"})
	// RelayLatency is the time from when an event was produced in a
	// transaction until Kafka has acknowledged it: the rest of the
	// transaction, its commit, and the relay.
	RelayLatency = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_relay_latency_seconds", Help: "Seconds from tx.Produce until Kafka has acknowledged the event.", Buckets: latencyBuckets,
	}, []string{"topic"})
	// OutboxRows is how many events wait in the outbox, those included that
	// are in flight. Above [eventmodels.StatsLimit] it is an estimate by their
	// sequence numbers, see [eventmodels.OutboxStats].
	OutboxRows = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_outbox_rows", Help: "Events in the outbox; above 100000 an estimate.",
	}, []string{"scope"})
	// OutboxOldestAge is the age of the oldest event in the outbox; 0 if it is
	// empty.
	OutboxOldestAge = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_outbox_oldest_age_seconds", Help: "Age of the oldest event in the outbox, in seconds.",
	}, []string{"scope"})
	// OutboxParkedRows is how many events the brokers have refused for
	// themselves; they wait for somebody to requeue or discard them. They are
	// counted up to [eventmodels.StatsLimit].
	OutboxParkedRows = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_outbox_parked_rows", Help: "Events that were parked because the brokers refuse them.",
	}, []string{"scope"})
)
