package compare

import "context"

// Measurement is one piece of work that several contenders do in turn.
type Measurement struct {
	// Name is what a measurement is chosen by: "produce/64".
	Name string
	// Title says what is done, for the report.
	Title string
	// Unit is what is counted: "events", "rows".
	Unit string
	// Notes are what a reader must know to judge the numbers.
	Notes []string
	// Open prepares what the contenders share, for instance a topic that all
	// of them read, and returns them. It is called once, before the first
	// round.
	Open func(context.Context, *Cleanup) ([]Contender, error)
}

// Contender is one way to do the work.
type Contender struct {
	Name string
	// Peer marks what ours is compared with: the report divides by it.
	Peer bool
	// Run does the work once: it prepares, calls Begin, works, and calls End.
	Run func(context.Context, *Trial) error
}
