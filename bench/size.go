package main

import "time"

// size says how much the measurements do.
type size struct {
	produce  time.Duration // producing, after a tenth of it that does not count
	transact time.Duration // committing, likewise
	latency  time.Duration // the schedule, likewise
	rows     int           // in the outbox that is drained
	consumed int           // events in the topic that is consumed
	once     int           // events that are handled exactly once
}

var (
	full = size{
		produce:  3 * time.Second,
		transact: 4 * time.Second,
		latency:  15 * time.Second,
		rows:     300_000,
		consumed: 1_000_000,
		once:     20_000,
	}
	short = size{
		produce:  500 * time.Millisecond,
		transact: 500 * time.Millisecond,
		latency:  time.Second,
		rows:     30_000,
		consumed: 100_000,
		once:     2_000,
	}
	// tiny shows that everything works, and nothing else.
	tiny = size{
		produce:  20 * time.Millisecond,
		transact: 20 * time.Millisecond,
		latency:  100 * time.Millisecond,
		rows:     500,
		consumed: 1_000,
		once:     100,
	}
)
