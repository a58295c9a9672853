// Package deadletter is the service's side of dead letters: it writes the
// letters of events whose handler has failed for good, and runs what has to be
// run again. The protocol, and what a letter's records mean, is package
// letters.
//
//	delivery.Engine ── failed ──> Writer ── letter ──> <topic>.<group>.dead-letter
//	      ▲                          ▲                             │
//	      │ Run                      │ done, the next letter, copy │ poll
//	   Reader <── judge ── Index <── Tap ──────────────────────────┘
//
// [Writer] is the sink of a group's engine. [Reader] makes the engine's handlers
// of a dead-letter topic: one for each handler whose letters lie there, one for
// letters of handlers that are not known here. Before anything runs it asks the
// [Index], which knows the records of the partitions that are assigned: [Tap]
// notes every record as it is fetched, before the engine has it.
//
// # What is run
//
// The fold over a letter's records says which one is to be run: it has taken
// effect, and nothing newer has. That needs every operation between a record
// and the one that it follows, and everything behind it. So before a run the
// index reads ahead to where the log ends, or did a few seconds ago, however far
// fetching is behind that; and when a record follows one from before the
// assignment it reads the operations between, once.
//
// A letter that waits for its time is postponed: it stays in the ack window,
// which so never passes it. Operations on a letter wake it, and are found to
// have overtaken it. If the window is full the oldest letters are written again
// at the log's end.
//
// # Races
//
// Every outcome (done, the next letter, a copy) is acknowledged by the brokers
// before the record that was run is. A crash in between leaves both, and the
// fold passes over the older one. A letter that was written twice has one id,
// and one of the two takes effect. Two runs of a letter at the same time, as of
// a waiting letter and of a replay that arrives meanwhile, are kept apart by
// the index, up to the outcome's acknowledgement.
//
// # Locks
//
// Index.mu is a leaf. Deliveries are woken without it.
package deadletter
