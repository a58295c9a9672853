package events

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// sharedGauge is a gauge that several groups, or Libraries, of a process may have
// a part in under the same labels: handlers of one name and topic in two groups,
// two Libraries with one group, or with one prefix and a database each. What is
// a number is added up, and of what is a duration or a yes the largest is shown,
// so that none overwrites what another one says.
type sharedGauge struct {
	vec *prometheus.GaugeVec
	// merge makes one value of two parts. Zero is that of no part.
	merge func(a, b float64) float64

	mu    sync.Mutex
	parts map[string]map[any]float64 // guarded by mu; by labels, and by who set it
}

func sum(a, b float64) float64     { return a + b }
func largest(a, b float64) float64 { return max(a, b) }

func newSharedGauge(vec *prometheus.GaugeVec, merge func(a, b float64) float64) *sharedGauge {
	return &sharedGauge{vec: vec, merge: merge, parts: make(map[string]map[any]float64)}
}

// set changes the part of owner, which is kept until remove: a number, rather than
// what much hangs on.
func (g *sharedGauge) set(owner any, value float64, labels ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.Join(labels, "\x00")
	if g.parts[key] == nil {
		g.parts[key] = make(map[any]float64)
	}
	g.parts[key][owner] = value
	g.show(key, labels)
}

// remove takes the part of owner back, if there is one.
func (g *sharedGauge) remove(owner any, labels ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.Join(labels, "\x00")
	if _, ok := g.parts[key][owner]; !ok {
		return
	}
	delete(g.parts[key], owner)
	if len(g.parts[key]) > 0 {
		g.show(key, labels)
		return
	}
	delete(g.parts, key)
	g.vec.DeleteLabelValues(labels...)
}

// part makes one of the parts under the labels, which is 0.
func (g *sharedGauge) part(labels ...string) *gaugePart {
	g.vec.WithLabelValues(labels...)
	return &gaugePart{g, labels}
}

// gaugePart is a part whose series stays when it is 0: whoever is done with it
// sets it to that.
type gaugePart struct {
	gauge  *sharedGauge
	labels []string
}

func (p *gaugePart) set(value float64) {
	if value != 0 {
		p.gauge.set(p, value, p.labels...)
		return
	}
	g := p.gauge
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.Join(p.labels, "\x00")
	if _, ok := g.parts[key][p]; ok {
		delete(g.parts[key], p)
		g.show(key, p.labels)
	}
}

// show sets the gauge. The caller has the lock.
func (g *sharedGauge) show(key string, labels []string) {
	value := 0.0
	for _, part := range g.parts[key] {
		value = g.merge(value, part)
	}
	g.vec.WithLabelValues(labels...).Set(value)
}

// The gauges that Libraries share.
var (
	sharedLag      = newSharedGauge(ConsumerLag, largest)
	sharedAssigned = newSharedGauge(AssignedPartitions, sum)
	sharedPaused   = newSharedGauge(PausedPartitions, sum)
	sharedBlocked  = newSharedGauge(BlockedPartitions, sum)

	sharedLease  = newSharedGauge(RelayLeaseHeld, sum)
	sharedRows   = newSharedGauge(OutboxRows, sum)
	sharedOldest = newSharedGauge(OutboxOldestAge, largest)
	sharedParked = newSharedGauge(OutboxParkedRows, sum)

	sharedGroupDemand  = newSharedGauge(ConsumersWaitingForQueueConcurrencyDemand, sum)
	sharedGroupLimit   = newSharedGauge(ConsumersWaitingForQueueConcurrencyLimit, largest)
	sharedLongest      = newSharedGauge(LongestHandlerLatency, largest)
	sharedOverdue      = newSharedGauge(OverdueHandlers, sum)
	sharedActiveDemand = newSharedGauge(HandlerWaitingForActiveConcurrencyDemand, sum)
	sharedActiveLimit  = newSharedGauge(HandlerWaitingForActiveConcurrencyLimit, largest)
	sharedQueueDemand  = newSharedGauge(HandlerWaitingForQueueConcurrencyDemand, sum)
	sharedQueueLimit   = newSharedGauge(HandlerWaitingForQueueConcurrencyLimit, largest)
	sharedBatches      = newSharedGauge(HandlerBatchConcurrency, sum)
	sharedBatchQueue   = newSharedGauge(HandlerBatchQueued, sum)
)
