package lanes

import "github.com/seed46dd6f11/events/eventmodels"

// Identity is what brokers recognise the sender's batches by, and what they
// compare to refuse a sender that has been replaced.
//
// An identity belongs to one [Sender] and is never used again after it: a
// second sender with it would begin at sequence number 0 again, and brokers
// would take its first batches for repetitions of the other's, say yes, and
// drop them. The successor has the same producer id with a larger epoch, or
// another id.
type Identity struct {
	ProducerID int64
	Epoch      int16
}

// Report is told what happens to the rows. Its methods are called in the order
// in which things have happened, one at a time, from goroutines of the sender or
// of those who call it. Only what Send gives back at once is Returned by Send
// itself, perhaps while another method is running, perhaps before the Held that
// is the reason. No lock is held, so that the methods may call the sender,
// except Stop. They must not block: nothing else is reported meanwhile.
//
// Every row given to [Sender.Send] is reported by exactly one of Acked,
// Refused and Returned, unless the sender is stopped before, or
// [Sender.Withdraw] gives the row back: then what was not reported is still in
// the outbox. What the slices refer to belongs to the receiver.
type Report interface {
	// Acked says that the brokers hold these rows, in all in-sync replicas.
	// There is at least one, and all are of one partition. The rows of a
	// partition are reported in the order in which they are stored there: one
	// after the other from offset on, which is -1 if the broker does not know
	// it any more.
	Acked(rows []*eventmodels.OutboxRow, partition int32, offset int64)
	// Refused says that the brokers do not take this row, sent alone, for
	// what it is: it is to be parked. err is a [*TooLargeError] or a
	// [*RefusedError]; with [Config.Patient] it can also be a [*HeldError],
	// and the row may have been written.
	Refused(row *eventmodels.OutboxRow, err error)
	// Returned gives rows back that were not sent, since their topic is held.
	// They are to be sent again, in their order, after [Sender.Resume]. With
	// Config.Patient they are rows of a topic that was created again without
	// their partition, and may be sent again at once.
	Returned(rows []*eventmodels.OutboxRow)
	// Held says that nothing of the topic can be written now, and why. What
	// is queued of it, and what Send brings from now on, is Returned; at most
	// one batch for each partition stays with the sender, to find out when
	// the topic is well again. It is called once until Resume.
	Held(topic string, err error)
	// Ready says that a held topic can be written again. Every row of it that
	// was given to Send has been reported. Rows are Returned until
	// [Sender.Resume], so that none can overtake those that were returned.
	Ready(topic string)
	// Fenced says that the brokers refuse the identity, because they know a
	// later epoch or because its sequence is broken. Nothing is sent until
	// [Sender.Identify]. It is called once for an identity.
	Fenced(id Identity, err error)
}
