// Package kafka is the only place that talks to Kafka. It wraps franz-go: what
// it adds are this library's choices (DESIGN.md says why), not another client.
//
//	Client   produces, through package lanes, and administers: topics, limits, offsets; reads parts of a log
//	Group    a member of a consumer group, a Source
//	Reader   reads topics without a group, a Source
//
// # Retries
//
// What can pass is repeated, by franz-go or here, until the caller's ctx ends:
// lost connections, moved leaders and controllers, throttling. What cannot pass
// is returned at once, as a typed error: see errors.go, and [Config] for words
// about addresses, TLS and SASL. Two things franz-go gives up for ever are taken
// up here: a topic that was deleted and created again (it never adopts the new
// id; see groupevents.go, watch.go), and a member whose commit was refused
// because the group no longer knows it (groupevents.go).
//
// # Goroutines
//
// A Client has one per flight, which is a request that callers wait for together
// (flight.go), and those of its sender while it sends; Close waits for them. A
// Group and a Reader have
// one each (keep, keepWatch), which ends in Close; Leave has one, which ends with
// it. All others are franz-go's.
//
// # Locks
//
// Every mutex here is a leaf: nothing waits, and no foreign code runs, while it
// is held. The functions of Assignments and the hooks are called under a turn
// or from Poll. franz-go's callbacks come with none of its locks held; Assigned
// waits for the running poll to return, so what a poll returns is told apart by
// assignment (Group.take).
package kafka
