// Package lanes is the sender of the relay: it writes the outbox's rows to
// Kafka.
//
// Every partition has a lane, with at most one record batch in flight. While it
// is, what comes for the partition forms the next. Batches carry the identity
// of the relay's lease, with sequence numbers from 0 in each epoch: brokers drop
// what a retry sends twice, and refuse a sender that was replaced. franz-go's
// producer chooses its own identities, so the lanes write produce requests
// themselves, over franz-go's connections.
//
// Lanes take rows from an ordered source and report what becomes of them. They
// know nothing of tables.
package lanes
