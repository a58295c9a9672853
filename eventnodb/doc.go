// Package eventnodb is the Library for services without a database.
//
// Everything of a [events.Library] that needs no database works as documented
// there:
//
//   - Produce, at once: it returns when the brokers have acknowledged;
//   - ConsumeIdempotent, with every OnFailure: events are handled at least
//     once, offsets are Kafka's;
//   - ConsumeBroadcast, notifiers (events.RegisterFiltered and
//     RegisterUnfiltered), the heartbeat and OnBroadcastGap;
//   - topics, metrics, settings, Shutdown.
//
// What needs a database is refused with an error that is
// [events.ErrNoDatabase]:
//
//   - ConsumeExactlyOnce: its marks are rows that are written in the handler's
//     transaction. StartConsuming returns the error. Make the handler
//     idempotent instead (an event's Source and ID name it) and use
//     ConsumeIdempotent;
//   - CatchUpProduce and ProduceFromTable: there is no outbox. An event that
//     must not be lost when the process dies between its cause and Produce
//     needs one, and so a database: eventsqlite is one without a server;
//   - Transact and every other method of [NoDB] and [NoDBTx].
//
// HasDB is false and DB returns nil. The broadcast consumer's base name is
// broadcastLFConsumer unless SetBroadcastConsumerBaseName says otherwise.
package eventnodb
