// Package lanes writes rows to Kafka: the outbox's for the relay, and those of
// immediate producing, each with a sender of its own.
//
// Every partition has a lane, with at most one record batch in flight. While it
// is, what comes for the partition forms the next. The batches of a broker's
// lanes that are ready go in one request, since a broker handles one request of
// a connection at a time; a few requests are in flight to a broker. A request
// starts when the goroutines that can run have had their turn, so that what many
// send at the same moment shares it. Batches carry an identity, for the relay
// that of its lease, with sequence numbers from 0 in each epoch: brokers drop
// what a retry sends twice, and refuse a sender that was replaced. franz-go's
// producer chooses its own identities, so the lanes write produce requests
// themselves, over franz-go's connections.
//
// Lanes take rows from an ordered source and report what becomes of them. They
// know nothing of tables.
//
// # A lane
//
//	        rows           a place in a request
//	idle ---------> ready ----------------------> flying
//	 ^                ^ ^                           | |
//	 |                | |  its time, or a leader    | | failed
//	 |                | +-------------- waiting <---|-+
//	 |                |  acked or refused, more     |
//	 |                +-----------------------------+
//	 |                   acked or refused, no more  |
//	 +----------------------------------------------+
//
// What a lane sends is the batch in its hand. Until it is acknowledged or
// refused, that batch is all that brokers may know of from this lane. A retry
// sends the same bytes with the same sequence numbers, so that it does not
// matter whether the last attempt was written. The sequence moves with the
// acknowledgement. A batch that is refused for one of its records has used no
// number: it is divided, and its parts are sent in its place, until the record
// stands alone.
//
// # A topic
//
//	       cannot be written          no batch in hand any more
//	open -------------------> held ------------------------------> cleared
//	  ^                                                               |
//	  +---------------------------------------------------------------+
//	                              Resume
//
// While it is not open, rows are Returned, also new ones. hold.go says what stays
// in the hands of its lanes, and why rows are still returned once it is cleared.
//
// With Config.Patient a topic is always open. That is for immediate producing,
// where a caller waits for each row with a ctx of its own, and a partition that
// has no leader must not be in the way of the others: rows wait in their lanes,
// are taken back when nobody waits for them any more (withdraw.go), and are
// refused when waiting does not help. What goes on failing is logged
// (complain.go), since a held topic would be.
//
// # Structure
//
// machine and what it consists of (topic, lane, batch, request) decide, without
// goroutine, clock, network or lock: verdict.go what an answer means, answer.go
// what follows from it, launch.go what goes into a request, hold.go and found.go
// what becomes of a topic. [Sender] runs the machine: every event is a turn
// under its lock, which starts what the machine wants done (carry.go: a request,
// lookup.go: metadata and EnsureTopic) on goroutines that end with it, and
// reports what the machine has noticed, in order, without the lock. What Send and
// an answer make possible is started by the goroutine that has brought it, when
// the others that can run have had their turn. There is no goroutine that lives
// longer.
//
// A lane is never forgotten while its identity lasts, nor is its position in a
// log: a lane that began at 0 again would send what brokers take for
// repetitions.
package lanes
