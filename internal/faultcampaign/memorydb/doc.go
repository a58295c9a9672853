// Package memorydb is a database in memory that can fail, for the simulation:
// a [Server] that answers as PostgreSQL would, and for each simulated process
// a [Client] whose way to it can be cut, stalled and slowed.
//
// It has transactions at READ COMMITTED that run beside each other, row locks,
// the library's tables, and what a checker needs to know: the events that
// were committed, in the order of their keys, and the effects of exactly-once
// handlers. There is no SQL. As in PostgreSQL a seq is drawn when a row is
// inserted and not given back, so that commits are in another order than
// seqs, and a snapshot says which transactions have ended.
//
// Each statement travels to the server, takes effect there at one instant, and
// its answer travels back. So a connection that is lost while a COMMIT is on
// its way leaves an unknown outcome, a statement whose context has ended may
// take effect later all the same, and the answer to a read can be old. A
// client that is killed is never answered again, and its open transactions
// hold their locks until the server has noticed.
//
// Waiting is done on channels, so that it works in testing/synctest bubbles.
package memorydb
