// Package schedule decides which faults a campaign causes, and when. It is pure:
// the same seed and settings give the same schedule.
package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what a fault does.
type Kind string

// Faults of the service's processes.
const (
	Kill   Kind = "kill"   // SIGKILL; the process is started again after For
	Freeze Kind = "freeze" // SIGSTOP, SIGCONT after For
	Stop   Kind = "stop"   // in order; started again after For
	Scale  Kind = "scale"  // two processes more, which stop after For
	Long   Kind = "long"   // a transaction stays open for For
)

// Faults of Kafka's brokers.
const (
	KillBroker        Kind = "kill-broker"
	RestartBroker     Kind = "restart-broker"
	KillController    Kind = "kill-controller"
	RestartController Kind = "restart-controller"
	KillTwoBrokers    Kind = "kill-two-brokers"
	FillDisk          Kind = "fill-disk" // for a broker no file can grow any more
)

// Faults of the database.
const (
	RestartDatabase Kind = "restart-database" // in order
	CrashDatabase   Kind = "crash-database"   // an immediate shutdown; it is away for For
	ClockForward    Kind = "clock-forward"    // the lease is over for the database, and not for its holder
	ClockBack       Kind = "clock-back"       // the lease lasts For longer for the database
)

// Faults of the connections between a process and a server.
const (
	Cut    Kind = "cut"    // connections end, new ones are refused
	Stall  Kind = "stall"  // nothing arrives until the end, then all does
	Deafen Kind = "deafen" // requests arrive, answers do not
	Slow   Kind = "slow"
)

// What others write to Kafka, and what happens to topics.
const (
	Abort       Kind = "abort"       // a transaction of another producer is aborted
	Undecodable Kind = "undecodable" // a record that is no order
	Large       Kind = "large"       // a record almost as large as the topic takes
	Oversized   Kind = "oversized"   // an order larger than the topic takes is produced
	Grow        Kind = "grow"        // a topic gets a partition more
	Trim        Kind = "trim"        // records are removed from a topic's begin
)

// All is every process, or every server.
const All = -1

// Fault is one fault. What does not apply to its kind is zero.
type Fault struct {
	At   time.Duration // since the campaign's begin
	For  time.Duration
	Kind Kind
	// Slot is the place of the process, Broker the number of the broker from 1,
	// Other a second one.
	Slot, Broker, Other int
	// Server is the end of the connections that a fault of the network
	// concerns: a broker, 0 for the database, or All.
	Server int
}

// String is the fault in one line, the same for the same fault.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6.1fs %s", f.At.Seconds(), f.Kind)
	switch f.Kind {
	case Kill, Freeze, Stop, Long, Oversized:
		fmt.Fprintf(&b, " process %d", f.Slot)
	case KillBroker, RestartBroker, FillDisk:
		fmt.Fprintf(&b, " %d", f.Broker)
	case KillTwoBrokers:
		fmt.Fprintf(&b, " %d and %d", f.Broker, f.Other)
	case Cut, Stall, Deafen, Slow:
		fmt.Fprintf(&b, " process %s from %s", number(f.Slot), server(f.Server))
	}
	if f.For > 0 {
		fmt.Fprintf(&b, " for %.1fs", f.For.Seconds())
	}
	return b.String()
}

func number(slot int) string {
	if slot == All {
		return "all"
	}
	return fmt.Sprint(slot)
}

func server(n int) string {
	switch n {
	case All:
		return "all servers"
	case 0:
		return "the database"
	}
	return fmt.Sprintf("broker %d", n)
}
