package compare

import (
	"context"
	"strings"
	"time"
)

// Measurement is one piece of work that several contenders do in turn.
type Measurement struct {
	// Name is what a measurement is chosen by: "produce/64". What is before
	// the first slash is its group.
	Name string
	// Title says what is done, for the report.
	Title string
	// Unit is what is counted: "events", "rows".
	Unit string
	// Axis names what the contenders' sizes count, "topics" for instance, where
	// a measurement shows how the cost grows; "" where it compares.
	Axis string
	// Rounds is how often each contender has its turn where that is less often
	// than in other measurements, because one turn takes minutes; 0 leaves it to
	// the Runner.
	Rounds int
	// Lasts is how long it takes at least, where that is minutes; a run with a
	// limit leaves it out when that does not suffice. 0 says nothing.
	Lasts time.Duration
	// Goals are what the first contender that is no peer is meant to reach.
	Goals []Goal
	// Notes are what a reader must know to judge the numbers.
	Notes []string
	// Open prepares what the contenders share, for instance a topic that all
	// of them read, and returns them. It is called once, before the first
	// round.
	Open func(context.Context, *Cleanup) ([]Contender, error)
}

// Group is the part of the name that measurements of the same kind share.
func (m Measurement) Group() string {
	group, _, _ := strings.Cut(m.Name, "/")
	return group
}

// Contender is one way to do the work.
type Contender struct {
	Name string
	// Peer marks what ours is compared with: the report divides by it.
	Peer bool
	// Series and Size are for measurements with an Axis: contenders of one
	// series are one line, in ascending order of their sizes.
	Series string
	Size   float64
	// Run does the work once: it prepares, calls Begin, works, and calls End.
	Run func(context.Context, *Trial) error
}
