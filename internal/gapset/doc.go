// Package gapset remembers which rows of the outbox the relay has not looked
// at yet, so that reading in the order of seq keeps the order of the commits.
//
// # The problem
//
// A transaction draws the seqs of its rows when it inserts them, and the rows
// appear when it commits. Transactions commit in another order than they draw.
// A reader that only asks for "seq > the last one I saw" loses rows:
//
//	A draws 1
//	B draws 2, commits
//	      the relay reads 2, and remembers 2
//	A commits
//	      the relay asks for what is above 2, and never sees 1
//
// Waiting for A before anything above 1 is sent would let one slow transaction
// stop the relay. So the relay goes on, and remembers 1 as a gap.
//
// # The set
//
// A [Set] is a hint and gaps. Everything at or below the hint has been looked
// at, except for the gaps: the seqs that were skipped when the hint advanced.
// One read, in one snapshot, asks for the gaps and for what lies above the
// hint, in the order of seq:
//
//	q := set.Ask()
//	page := ... the rows with a seq in q.Gaps, and those with seq > q.Above, in the order of seq, at most n ...
//	err := set.Observe(q, page)
//
// What this keeps: if transaction T1 committed before T2 drew a seq, then the
// rows of T1 are seen no later than those of T2. T1's seqs are the smaller
// ones, a snapshot that shows T2 shows T1 too, and the read asked for all of
// what it had not seen, in the order of seq. Transactions that overlap have no
// order, and none is promised; those that update the same row do not overlap
// from there on. A read must therefore ask for all the gaps: a read that asks
// for some of them, and for what lies above the hint, may return T2 without T1.
//
// # When a gap closes
//
// Many gaps are never filled: their transactions were rolled back, or the
// sequence jumped. A gap closes when a read that looked at it, and did not find
// it, had a snapshot in which every transaction that could fill it had ended.
// How that is known is the backend's [Proof]:
//
//   - PostgreSQL, [XID]. A transaction has its xid before it draws a seq. A seq
//     below one that has been seen was drawn before that one was seen. So the
//     next xid to be had after the gap was noticed is above the xid of every
//     transaction that can fill the gap. It is the gap's horizon, and once the
//     xmin of a read's snapshot has reached it, those transactions have ended.
//   - MySQL, [Clock]. There is no proof, a gap closes after a time.
//   - SQLite, [Serial]. One transaction writes at a time, so they commit in the
//     order in which they draw, and a gap closes at once.
//
// The xmax of a snapshot is not a horizon, although it looks like one. It is
// one above the highest xid that has *ended*, and transactions that run may
// have an xid above it:
//
//	C begins, its xid is 10
//	G begins, its xid is 11, and draws 1
//	C draws 2, commits
//	      a read returns 2; its snapshot has the xmax 11. The gap 1 is noticed
//	      the next read has the xmin 11: 11 has been reached, and G still runs
//
// # Quiet gaps
//
// A transaction that runs for hours keeps all gaps open that were noticed since
// it began, and looking at them costs: PostgreSQL keeps the index entries of all
// that was deleted since, and a read that passes over a gap steps over each of
// them. But what can fill these gaps is this transaction alone. A read has
// looked at them and not found them, in a snapshot in which every transaction
// below their horizon had ended, but for those few that it names
// (pg_snapshot_xip, complete up to its xmax). Those that had ended have filled
// nothing; so as long as the others run, a gap stays as it is.
//
// So a gap becomes quiet, and those transactions its blockers. A question leaves
// quiet gaps out and names their blockers, and the read finds out, in its own
// snapshot, whether one of them has ended:
//
//	if a transaction of q.Blockers has ended in the snapshot of the read:
//		nothing is returned but that; the next question has all gaps
//
// An earlier answer to the same would not do: the transaction could have
// committed between it and the read, and what was drawn after that would
// overtake it. With the same snapshot, a read that leaves quiet gaps out returns
// exactly what one would that asks for them.
//
// Only transactions that have run for some pages become blockers. Others end
// before the next read, which would then be made in vain.
//
// # Taking over
//
// A relay that has not been the one to read so far knows nothing about the
// gaps. It starts with [Set.Reset] of 0: all of the table is above the hint,
// what is skipped becomes a gap, and the gaps close by the same proof. The same
// goes for a relay that has lost its connection. Rows that are still being sent
// are then returned again, and the relay passes over them.
//
// It may start higher, at a seq below which the one before it has left nothing:
// at or below its [Set.Floor], and below every row that it has read and that is
// still in the table. Nothing can appear at or below a Floor: what is not
// above the hint was either seen, or was a gap and has closed by proof. And
// rows that were seen come back neither, since a seq is drawn once. So this
// stays true for ever after it was true once, and may be told to whoever
// comes later, however late.
//
// The package has no goroutine, clock, network or logger. A Set must not be
// used by several goroutines at once.
package gapset
