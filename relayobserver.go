package events

import (
	"context"
	"errors"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// relayObserver counts what the relay does.
type relayObserver struct{ lib *LibraryNoDB }

func (o relayObserver) Relayed(wireTopic string, rows []*eventmodels.OutboxRow) {
	topic := o.lib.topicOf(kafka.WireTopic(wireTopic))
	ProduceTopicCounts.WithLabelValues(topic, string(eventmodels.ProduceCatchUp)).Add(float64(len(rows)))
	now := time.Now()
	latency := RelayLatency.WithLabelValues(topic)
	for _, row := range rows {
		latency.Observe(now.Sub(row.CreatedAt).Seconds())
	}
}

func (o relayObserver) Parked(wireTopic string) {
	ErrorCounts.WithLabelValues("outbox-parked").Inc()
}

// outboxSample is what a relay that leads has last seen of the outbox.
type outboxSample struct {
	eventmodels.OutboxStats
	at time.Time
}

// Holding shows who holds the lease; only that process reports on the outbox.
func (o relayObserver) Holding(holds bool) {
	scope := o.lib.settings.prefix
	if holds {
		sharedLease.set(o.lib.instanceID, 1, scope)
		return
	}
	o.lib.outbox.Store(nil)
	sharedLease.set(o.lib.instanceID, 0, scope)
	sharedRows.remove(o.lib.instanceID, scope)
	sharedOldest.remove(o.lib.instanceID, scope)
	sharedParked.remove(o.lib.instanceID, scope)
}

func (o relayObserver) Sampled(stats eventmodels.OutboxStats) {
	o.lib.outbox.Store(&outboxSample{stats, time.Now()})
	scope := o.lib.settings.prefix
	sharedRows.set(o.lib.instanceID, float64(stats.Rows), scope)
	sharedOldest.set(o.lib.instanceID, stats.OldestAge.Seconds(), scope)
	sharedParked.set(o.lib.instanceID, float64(stats.Parked), scope)
}

func (o relayObserver) Failed(operation string, err error) {
	if !errors.Is(err, context.Canceled) {
		ErrorCounts.WithLabelValues("relay-" + operation).Inc()
	}
}
