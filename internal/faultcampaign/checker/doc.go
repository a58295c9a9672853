// Package checker says whether a run of the library under faults kept its
// promises. It is pure: what happened goes in as a list of entries, what was
// violated comes out. Both the campaign with real processes and servers and
// the simulation in one process use it.
//
// The list is the run's own record, made beside the library and not with it:
// what was committed comes from a table that the same transactions wrote, what
// was delivered from the handlers, effects from the tables of the handlers,
// the log from Kafka, dead letters from their topics. The order of the entries
// is the order in which they happened; lists of several processes are merged by
// At (see [Merge]). Entries without an instant of their own, which are read at
// the end (Committed, Effect, Logged, Letter), may stand anywhere.
//
// What is asserted, and which entries it needs:
//
//   - the callers of transactions were Told what became of them;
//   - every Committed event was Handled by every idempotent handler of its
//     topic, unless the handler was Doomed to fail with it;
//   - every exactly-once handler has one Effect of each, and never two;
//   - nothing that was RolledBack, or that nobody has written, was Delivered,
//     had an Effect, or is Logged;
//   - of the events of a key in a partition, an ordered handler was first given
//     them in the order of their Seq, and none before the one in front of it
//     was Handled;
//   - every Committed event is Logged, and the first places of a key's events
//     in a partition are in the order of their Seq; what comes again is counted
//     as a duplicate, and none may come from a producer that has a successor in
//     the partition;
//   - a broadcast instance was Delivered everything that was committed while it
//     was Up, unless it was told of a Gap;
//   - there is a Letter of exactly what was Doomed, for handlers that keep
//     letters.
package checker
