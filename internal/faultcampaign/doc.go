// Package faultcampaign is the library's test against real faults: processes of
// a small service (package service) on a cluster of three Kafka brokers and an
// SQL database, a seeded schedule of faults (package schedule), and a check of
// everything that was promised (package checker). scripts/faults runs it;
// docs/guarantees.md says what it shows.
//
//	campaign ── scripts/services: brokers, database       started, killed, restarted
//	   │    └── fleet: processes, each with its own links  killed, frozen, stopped
//	   │           └── network.Link: one for each process and server
//	   ├── stream: what others write to the topics
//	   └── evidence: journals, tables, topics, dead letters ── checker.Check
//
// The tracks of a schedule (processes, brokers, database, network, stream) go on
// at the same time, each with one fault after the other. After the last one all
// is repaired, the load ends, and what is still on its way gets time to arrive:
// only what is then missing is a violation.
//
// A seed gives the same faults at the same times; what they meet is up to the
// machine.
package faultcampaign
