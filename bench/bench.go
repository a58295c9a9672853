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

// ours is the name of the library among the contenders.
const ours = "events"

// measurements returns all of them, in the order in which they are run.
func (b bench) measurements() []compare.Measurement {
	return []compare.Measurement{
		b.produce(1),
		b.produce(64),
		b.produce(1000),
		b.relay(500),
		b.relay(5000),
		b.latency(200),
		b.latency(1000),
		b.consumeRaw(),
		b.consumeJSON(),
		b.once(),
		b.transact(),
		b.backendsRelay(),
		b.backendsOnce(),
	}
}
