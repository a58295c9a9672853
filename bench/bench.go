package main

import (
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/bench/internal/servers"
)

// bench is what every measurement needs.
type bench struct {
	servers *servers.Servers
	size    size
}

// partitions of every topic. Goroutines and handlers are spread over them by
// the events' keys.
const partitions = 8

// The names of contenders.
const (
	ours          = "events"
	franzGo       = "franz-go"
	kafkaGo       = "kafka-go"
	watermillName = "Watermill"
)

// measurements returns those that compare, in the order in which they are run.
func (b bench) measurements() []compare.Measurement {
	return []compare.Measurement{
		b.produce(1),
		b.produce(64),
		b.produce(1000),
		b.produceCalls(),
		b.consumePlain(),
		b.consumeRaw(),
		b.consumeJSON(),
		b.relay(500),
		b.relay(5000),
		b.latency(200),
		b.latency(1000),
		b.once(),
		b.onceBatches(),
		b.broadcastStart(),
		b.broadcastDelivery(),
		b.transact(),
		b.backendsRelay(),
		b.backendsOnce(),
	}
}

// growth returns those that show how the cost grows with the number of something.
func (b bench) growth() []compare.Measurement {
	return []compare.Measurement{
		b.growthProduce("topics"),
		b.growthProduce("partitions"),
		b.growthConsume("topics"),
		b.growthConsume("partitions"),
		b.growthRelay("topics"),
		b.growthRelay("partitions"),
		b.growthHandlers(),
		b.growthInstances(),
		b.growthBacklog(),
		b.growthDead(),
		b.growthMarks(),
		b.growthSnapshot(), // lasts longest
	}
}
