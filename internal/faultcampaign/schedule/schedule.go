package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Settings say what can happen.
type Settings struct {
	Seed uint64
	// Length is when the last fault begins at the latest.
	Length time.Duration
	// Processes and Brokers are how many there are.
	Processes, Brokers int
	// Session and Lease are how long the brokers and the database wait for a
	// process that is silent: some processes are frozen for longer.
	Session, Lease time.Duration
	// Without has the kinds that cannot happen, with this database for example.
	Without []Kind
	// Dense makes the pauses between faults short.
	Dense bool
}

// track is a line of faults that come one after the other; tracks go on at the
// same time. Each begins with all of its kinds, in any order, and goes on with
// all of them again.
type track struct {
	kinds  []Kind
	pause  [2]time.Duration // between the end of a fault and the next
	repair time.Duration    // what it takes to end a fault: a server starts
}

// tracks are independent of each other, so that leaving out a kind of one does
// not change the others.
var tracks = []track{
	{[]Kind{Kill, Freeze, Stop, Kill, Scale, Long}, [2]time.Duration{2 * time.Second, 8 * time.Second}, 2 * time.Second},
	{[]Kind{KillBroker, RestartBroker, KillController, RestartController, KillTwoBrokers, FillDisk}, [2]time.Duration{8 * time.Second, 20 * time.Second}, 12 * time.Second},
	{[]Kind{RestartDatabase, CrashDatabase, ClockForward, ClockBack, CrashDatabase}, [2]time.Duration{10 * time.Second, 25 * time.Second}, 3 * time.Second},
	{[]Kind{Cut, Stall, Deafen, Slow, Deafen}, [2]time.Duration{4 * time.Second, 10 * time.Second}, 0},
	{[]Kind{Abort, Undecodable, Large, Oversized, Grow, Trim, Trim}, [2]time.Duration{6 * time.Second, 14 * time.Second}, 0},
}

// New makes the schedule, in the order of the faults' times.
func New(s Settings) []Fault {
	var all []Fault
	for i, t := range tracks {
		random := rand.New(rand.NewPCG(s.Seed, uint64(i)))
		kinds := slices.DeleteFunc(slices.Clone(t.kinds), func(k Kind) bool { return slices.Contains(s.Without, k) })
		if len(kinds) == 0 {
			continue
		}
		var bag []Kind
		for at := s.pause(random, t); at < s.Length; at += s.pause(random, t) {
			if len(bag) == 0 {
				bag = slices.Clone(kinds)
				random.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
			}
			fault := s.fault(random, bag[0])
			bag = bag[1:]
			fault.At = at
			all = append(all, fault)
			at += fault.For + t.repair
		}
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return all
}

// Tracks divides a schedule into the lines of faults that come one after the
// other.
func Tracks(faults []Fault) [][]Fault {
	lines := make([][]Fault, len(tracks))
	for _, f := range faults {
		i := slices.IndexFunc(tracks, func(t track) bool { return slices.Contains(t.kinds, f.Kind) })
		lines[i] = append(lines[i], f)
	}
	return lines
}

func (s Settings) pause(random *rand.Rand, t track) time.Duration {
	pause := between(random, t.pause[0], t.pause[1])
	if s.Dense {
		pause /= 4
	}
	return pause
}

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)+1)).Truncate(time.Millisecond)
}

// fault chooses what a fault of the kind concerns, and how long it lasts.
func (s Settings) fault(random *rand.Rand, kind Kind) Fault {
	f := Fault{Kind: kind}
	// All is drawn every time, so that one kind's needs do not change the next
	// fault's choices.
	slot, broker, other := random.IntN(s.Processes), 1+random.IntN(s.Brokers), random.IntN(max(s.Brokers-1, 1))
	server, wide, length := random.IntN(s.Brokers+1), random.IntN(4), random.Float64()
	lasting := func(low, high time.Duration) time.Duration {
		return (low + time.Duration(length*float64(high-low))).Truncate(time.Millisecond)
	}
	switch kind {
	case Kill, Stop:
		f.Slot, f.For = slot, lasting(0, 6*time.Second)
	case Freeze:
		f.Slot = slot
		// One in four is short: nobody may notice it.
		if f.For = lasting(max(s.Session, s.Lease)+2*time.Second, max(s.Session, s.Lease)+10*time.Second); wide == 0 {
			f.For = lasting(time.Second, 5*time.Second)
		}
	case Scale:
		f.For = lasting(5*time.Second, 15*time.Second)
	case Long:
		f.Slot, f.For = slot, lasting(5*time.Second, 25*time.Second)
	case KillBroker, RestartBroker:
		f.Broker, f.For = broker, lasting(0, 10*time.Second)
	case FillDisk:
		f.Broker, f.For = broker, lasting(2*time.Second, 10*time.Second)
	case KillController, RestartController:
		f.For = lasting(0, 10*time.Second)
	case KillTwoBrokers:
		f.Broker, f.Other, f.For = broker, 1+(broker+other)%s.Brokers, lasting(0, 10*time.Second)
	case CrashDatabase:
		f.For = lasting(0, 12*time.Second)
	case ClockBack:
		f.For = lasting(s.Lease, 2*s.Lease)
	case Cut, Stall, Deafen, Slow:
		f.Slot, f.Server, f.For = slot, server, lasting(time.Second, 15*time.Second)
		switch wide {
		case 0:
			f.Server = All
		case 1:
			f.Slot = All
		}
		if length > 0.8 && kind != Slow {
			f.For = max(s.Session, s.Lease) + 5*time.Second
		}
	case Oversized:
		f.Slot = slot
	}
	return f
}

// Kinds are all kinds of faults.
func Kinds() (all []Kind) {
	for _, t := range tracks {
		for _, kind := range t.kinds {
			if !slices.Contains(all, kind) {
				all = append(all, kind)
			}
		}
	}
	return all
}
