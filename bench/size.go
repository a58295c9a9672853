package main

import "time"

// size says how much the measurements do.
type size struct {
	produce  time.Duration // producing, after a tenth of it that does not count
	transact time.Duration // committing, likewise
	latency  time.Duration // the schedule, likewise
	rows     int           // in the outbox that is drained
	consumed int           // events in the topic that is consumed
	once     int           // events that are handled exactly once, one by one
	backends int           // rows and events, on each backend
	batched  int           // and in batches of 500
	starts   int           // of broadcast instances

	growing   time.Duration // producing on topics or partitions
	grown     int           // events or rows that are spread over these
	sizes     [3]int        // of topics and handlers
	ways      [3]int        // partitions
	instances [3]int        // of broadcasts
	delivered time.Duration // the schedule of their events
}

var (
	full = size{
		produce:   2500 * time.Millisecond,
		transact:  3 * time.Second,
		latency:   8 * time.Second,
		rows:      300_000,
		consumed:  600_000,
		once:      20_000,
		backends:  20_000,
		batched:   100_000,
		starts:    20,
		growing:   time.Second,
		grown:     200_000,
		sizes:     [3]int{1, 10, 100},
		ways:      [3]int{1, 8, 64},
		instances: [3]int{1, 10, 300},
		delivered: 4 * time.Second,
	}
	short = size{
		produce:   500 * time.Millisecond,
		transact:  500 * time.Millisecond,
		latency:   time.Second,
		rows:      60_000,
		consumed:  100_000,
		once:      2_000,
		backends:  2_000,
		batched:   10_000,
		starts:    3,
		growing:   200 * time.Millisecond,
		grown:     20_000,
		sizes:     [3]int{1, 10, 100},
		ways:      [3]int{1, 8, 64},
		instances: [3]int{1, 10, 50},
		delivered: time.Second,
	}
	// tiny shows that everything works, and nothing else.
	tiny = size{
		produce:   20 * time.Millisecond,
		transact:  20 * time.Millisecond,
		latency:   100 * time.Millisecond,
		rows:      600,
		consumed:  1_000,
		once:      100,
		backends:  100,
		batched:   1_000,
		starts:    1,
		growing:   20 * time.Millisecond,
		grown:     1_000,
		sizes:     [3]int{1, 2, 3},
		ways:      [3]int{1, 2, 3},
		instances: [3]int{1, 2, 3},
		delivered: 100 * time.Millisecond,
	}
)

// growth are the sizes along an axis.
func (s size) growth(axis string) [3]int {
	if axis == "partitions" {
		return s.ways
	}
	return s.sizes
}
