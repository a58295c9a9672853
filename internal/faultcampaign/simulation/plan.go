package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Plan is a run, before it takes place: all that a seed decides.
type Plan struct {
	Seed   uint64
	Length time.Duration // until the last fault has ended

	Brokers    int           // 1 to 3
	Partitions int           // of the topic orders, at first
	Slots      int           // places for instances, 1 to 3; each is mostly taken
	Pause      time.Duration // between two transactions of an instance, on average
	Keys       int           // that events have
	Latency    time.Duration // of the way from an instance to the brokers
	Ordered    bool          // the exactly-once handlers are ordered, too

	Steps []Step // by At
}

// Step is a fault: it begins at At and ends after For.
type Step struct {
	At, For time.Duration
	Fault   Fault
	Slot    int     // the instance it happens to, of faults of instances
	Node    int32   // the broker, of faults of brokers
	Pick    int     // a choice among what the fault can do: an error, a request
	Count   int     // how many requests
	Share   float64 // how many of what can fail does
}

// Fault is a kind of fault.
type Fault string

// The faults. Those above the line happen to an instance.
const (
	StopInstance    Fault = "stop instance"    // gracefully; another one starts after For
	KillInstance    Fault = "kill instance"    // never heard of again; another one starts after For
	CutNetwork      Fault = "cut network"      // between the instance and the brokers
	StallNetwork    Fault = "stall network"    // nothing arrives, without an error
	SlowNetwork     Fault = "slow network"     // everything arrives late
	CutDatabase     Fault = "cut database"     // connections of the instance are lost and refused
	StallDatabase   Fault = "stall database"   // no statement of the instance is answered
	SlowDatabase    Fault = "slow database"    // statements take long
	TroubleDatabase Fault = "trouble database" // conflicts, and COMMITs with unknown outcome
	OpenTransaction Fault = "open transaction" // stays open for For, with an event
	PauseHandler    Fault = "pause handler"    // for For
	RestartDatabase Fault = "restart database" // all transactions end, nobody connects for For
	JumpClock       Fault = "jump clock"       // the database's, forward or back, for For
	CutBroker       Fault = "cut broker"       // unreachable for For; its partitions move
	MoveLeader      Fault = "move leader"      // of a partition
	MoveCoordinator Fault = "move coordinator" // of the groups
	FailRequests    Fault = "fail requests"    // Count of a kind, with one of Kafka's errors
	DropRequests    Fault = "drop requests"    // Count of a kind, with their connection
	DropAnswers     Fault = "drop answers"     // the brokers have acted on the requests
	DelayRequests   Fault = "delay requests"   // each for up to 10 s; what is behind on other connections overtakes
	StallAnswers    Fault = "stall answers"    // of Count requests, for For
	AddPartitions   Fault = "add partitions"   // to the topic orders
	StrangeRecords  Fault = "strange records"  // undecodable ones, and those of an aborted transaction
)

// faults are drawn with these weights.
var faults = []struct {
	fault   Fault
	weight  int
	longest time.Duration // of For
}{
	{StopInstance, 6, 40 * time.Second},
	{KillInstance, 8, 40 * time.Second},
	{CutNetwork, 6, 90 * time.Second},
	{StallNetwork, 6, 90 * time.Second},
	{SlowNetwork, 3, time.Minute},
	{CutDatabase, 6, 90 * time.Second},
	{StallDatabase, 5, 45 * time.Second},
	{SlowDatabase, 3, time.Minute},
	{TroubleDatabase, 6, time.Minute},
	{OpenTransaction, 5, 90 * time.Second},
	{PauseHandler, 2, time.Minute},
	{RestartDatabase, 3, 30 * time.Second},
	{JumpClock, 3, time.Minute},
	{CutBroker, 6, 90 * time.Second},
	{MoveLeader, 4, 0},
	{MoveCoordinator, 4, 0},
	{FailRequests, 14, 0},
	{DropRequests, 5, 0},
	{DropAnswers, 6, 0},
	{DelayRequests, 5, 30 * time.Second},
	{StallAnswers, 5, time.Minute},
	{AddPartitions, 1, 0},
	{StrangeRecords, 2, 0},
}

// NewPlan makes the plan of a seed, with faults for the time length.
func NewPlan(seed uint64, length time.Duration) Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := Plan{
		Seed: seed, Length: length,
		Brokers:    1 + r.IntN(3),
		Partitions: 1 + r.IntN(4),
		Slots:      1 + r.IntN(3),
		Pause:      []time.Duration{time.Second, 4 * time.Second, 10 * time.Second}[r.IntN(3)],
		Keys:       1 + r.IntN(12),
		Latency:    []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond}[r.IntN(3)],
		Ordered:    r.IntN(2) == 0,
	}
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	// Some runs are rough, and some have one fault at a time.
	mean := []time.Duration{4 * time.Second, 15 * time.Second, 45 * time.Second}[r.IntN(3)]
	for at := 10 * time.Second; ; {
		at += time.Duration(r.ExpFloat64() * float64(mean)).Round(time.Millisecond)
		if at >= length {
			break
		}
		n := r.IntN(total)
		i := slices.IndexFunc(faults, func(f struct {
			fault   Fault
			weight  int
			longest time.Duration
		}) bool {
			n -= f.weight
			return n < 0
		})
		s := Step{
			At: at, Fault: faults[i].fault,
			Slot: r.IntN(p.Slots), Node: int32(r.IntN(p.Brokers)), Pick: r.IntN(1 << 20),
			Count: 1 + r.IntN(10), Share: r.Float64() * 0.3,
		}
		if longest := faults[i].longest; longest > 0 {
			// Short ones are as interesting as long ones: spread over the magnitudes.
			share := r.Float64()
			s.For = time.Duration(float64(longest) * share * share).Round(time.Millisecond)
		}
		s.For = min(s.For, length-at)
		p.Steps = append(p.Steps, s)
	}
	return p
}

// String is the plan for people: the world, and a line for each step.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d for %v: %d brokers, %d partitions, %d instances, a transaction each %v, %d keys, latency %v, ordered %v\n",
		p.Seed, p.Length, p.Brokers, p.Partitions, p.Slots, p.Pause, p.Keys, p.Latency, p.Ordered)
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%10v %s\n", s.At, s)
	}
	return b.String()
}

// String is the step without its time.
func (s Step) String() string {
	return fmt.Sprintf("%s for %v (slot %d, node %d, pick %d, count %d, share %.2f)", s.Fault, s.For, s.Slot, s.Node, s.Pick, s.Count, s.Share)
}
