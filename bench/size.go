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

	crowds        [3]int        // rows that are in an outbox behind those that are drained
	dead          [3]int        // rows before them that were deleted
	marks         [3]int        // in the table
	held          time.Duration // a snapshot
	crowdedRounds int           // of measurements whose turns take minutes
}

var (
	full = size{
		produce:       2 * time.Second,
		transact:      2 * time.Second,
		latency:       6 * time.Second,
		rows:          200_000,
		consumed:      600_000,
		once:          20_000,
		backends:      10_000,
		batched:       100_000,
		starts:        20,
		growing:       time.Second,
		grown:         200_000,
		sizes:         [3]int{1, 10, 100},
		ways:          [3]int{1, 8, 64},
		instances:     [3]int{1, 10, 300},
		delivered:     4 * time.Second,
		crowds:        [3]int{0, 1_000_000, 5_000_000},
		dead:          [3]int{0, 200_000, 1_000_000},
		marks:         [3]int{1, 1_000_000, 10_000_000},
		held:          5 * time.Minute,
		crowdedRounds: 1,
	}
	short = size{
		produce:       500 * time.Millisecond,
		transact:      500 * time.Millisecond,
		latency:       time.Second,
		rows:          60_000,
		consumed:      100_000,
		once:          2_000,
		backends:      2_000,
		batched:       10_000,
		starts:        3,
		growing:       200 * time.Millisecond,
		grown:         20_000,
		sizes:         [3]int{1, 10, 100},
		ways:          [3]int{1, 8, 64},
		instances:     [3]int{1, 10, 50},
		delivered:     time.Second,
		crowds:        [3]int{0, 20_000, 100_000},
		dead:          [3]int{0, 20_000, 100_000},
		marks:         [3]int{1, 20_000, 100_000},
		held:          5 * time.Second,
		crowdedRounds: 1,
	}
	// tiny shows that everything works, and nothing else.
	tiny = size{
		produce:       20 * time.Millisecond,
		transact:      20 * time.Millisecond,
		latency:       100 * time.Millisecond,
		rows:          600,
		consumed:      1_000,
		once:          100,
		backends:      100,
		batched:       1_000,
		starts:        1,
		growing:       20 * time.Millisecond,
		grown:         1_000,
		sizes:         [3]int{1, 2, 3},
		ways:          [3]int{1, 2, 3},
		instances:     [3]int{1, 2, 3},
		delivered:     100 * time.Millisecond,
		crowds:        [3]int{0, 1_000, 2_000},
		dead:          [3]int{0, 1_000, 2_000},
		marks:         [3]int{1, 100, 1_000},
		held:          200 * time.Millisecond,
		crowdedRounds: 1,
	}
)

// growth are the sizes along an axis.
func (s size) growth(axis string) [3]int {
	if axis == "partitions" {
		return s.ways
	}
	return s.sizes
}
