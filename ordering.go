package events

import (
	"fmt"

	"github.com/seed46dd6f11/events/internal/delivery"
)

// Ordering says which events a handler gets one after the other; see
// [WithOrdering]. Without it they come in parallel and in any order.
type Ordering int

const (
	// ByKey: events of one key, in one partition, come in the order in which
	// they are in the topic; those of several keys in parallel. Events without
	// a key are not ordered. (Event.GetKey() == "" produces one without. An
	// empty key, which other producers can write, is a key.)
	ByKey Ordering = iota + 1
	// ByPartition: the events of one partition come in the order in which they
	// are in the topic; those of several partitions in parallel.
	ByPartition
)

// String returns the constant's name.
func (o Ordering) String() string {
	switch o {
	case ByKey:
		return "ByKey"
	case ByPartition:
		return "ByPartition"
	}
	return fmt.Sprintf("Ordering(%d)", int(o))
}

// WithOrdering makes the handler get events of one key, or of one partition,
// one after the other and in order: an event comes when those in front of it are
// done, discarded or in the dead-letter topic. While one of them is tried again
// those behind it wait, and other keys go on (with OnFailureBlock only those
// that are in memory already: the partition holds); what waits so takes no place
// in the handler's queue, but memory, up to 10,000 events and 64 MiB of a
// partition.
//
// A batch may hold several events of a key, in order. When a part of it has
// failed, those that follow in the same key wait for its verdict. (A batch
// handler that is not exactly-once and names the events that failed with an
// eventmodels.BatchError has done the others, those of the same key, too. It
// should stop at the first that fails, and name it and all that follow in its
// key.)
//
// The order ends with the assignment: after a rebalance or a restart events that
// were not committed come again, in order. It panics if o is none of the
// constants.
func WithOrdering(o Ordering) HandlerOpt {
	var ordering delivery.Ordering
	switch o {
	case ByKey:
		ordering = delivery.ByKey
	case ByPartition:
		ordering = delivery.ByPartition
	default:
		panic(fmt.Sprintf("events.WithOrdering(%v): ByKey or ByPartition is needed", o))
	}
	return func(h *registeredHandler, _ *LibraryNoDB) { h.ordering = ordering }
}
