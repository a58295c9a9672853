// Package eventdb is what every SQL backend shares: transactions that carry
// events, exactly-once marks, and the relay that moves the outbox to Kafka.
// The algorithms are here, once; a backend (eventpg, eventmysql, events2,
// eventsqlite) adds a [Dialect] and an [eventmodels.OutboxStore] of SQL text
// and error codes.
//
// Services need this package only to bring a transaction type of their own:
// see [BasicTX], [BasicDB] and [Pending].
package eventdb
