package events

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Several groups, and several Libraries in a process, can feed one gauge:
// handlers of one name and topic, for example. What is a number is added up,
// and of what is a duration or a yes the largest is shown, so that none
// overwrites what another one says. Each contributor sets its part from one
// goroutine, and to 0 at its end.

// share is one contributor's part of a sum.
type share struct {
	gauge prometheus.Gauge
	last  float64
}

func (s *share) set(value float64) {
	s.gauge.Add(value - s.last)
	s.last = value
}

// peak is one contributor's part of a maximum.
type peak struct{ gauge prometheus.Gauge }

// peaks are the contributions that are not 0. The vector returns the same
// Gauge for the same labels, so it serves as the key.
var peaks = struct {
	mu    sync.Mutex // a leaf
	parts map[prometheus.Gauge]map[*peak]float64
}{parts: make(map[prometheus.Gauge]map[*peak]float64)}

func (p *peak) set(value float64) {
	peaks.mu.Lock()
	defer peaks.mu.Unlock()
	parts := peaks.parts[p.gauge]
	if value == 0 {
		delete(parts, p)
		if len(parts) == 0 {
			delete(peaks.parts, p.gauge)
		}
	} else {
		if parts == nil {
			parts = make(map[*peak]float64)
			peaks.parts[p.gauge] = parts
		}
		parts[p] = value
	}
	largest := 0.0
	for _, part := range parts {
		largest = max(largest, part)
	}
	p.gauge.Set(largest)
}
