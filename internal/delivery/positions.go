package delivery

import (
	"cmp"
	"slices"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// Position is how far a partition is that the engine owns.
type Position struct {
	kafka.TopicPartition
	// Done is the offset up to which everything is done: the next one to
	// commit. Known is false as long as nothing of the partition was fetched
	// in this assignment.
	Done  int64
	Known bool
	// Paused says that it is not fetched at the moment, since what was
	// fetched of it waits.
	Paused bool
	// Backlog is how many records were fetched and wait for admission.
	Backlog int
}

// Positions returns the positions of the partitions that the engine owns, in
// order.
func (e *Engine) Positions() []Position {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Position, 0, len(e.s.partitions))
	for _, p := range e.s.partitions {
		all = append(all, p.progressed())
	}
	slices.SortFunc(all, func(a, b Position) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

func (p *partition) progressed() Position {
	at := Position{TopicPartition: p.TopicPartition, Paused: p.paused, Backlog: p.backlog.len()}
	if done, ok := p.window.Commit(); ok {
		at.Done, at.Known = done.Offset, true
	} else if oldest, ok := p.window.Oldest(); ok {
		at.Done, at.Known = oldest, true
	} else if p.backlog.len() > 0 {
		first, _ := p.backlog.first()
		at.Done, at.Known = first.Offset, true
	}
	return at
}
