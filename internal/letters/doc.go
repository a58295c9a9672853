// Package letters is the protocol of dead-letter topics: the headers of their
// records, and the state of a letter as a fold over its records.
//
// A dead-letter topic is a log of letters and of what was done with them, and
// the only truth about them: no database, one order, every console and every
// instance agrees. Records of one letter lie in one partition, so their offsets
// order them.
//
//	letter    the service    an event has failed: saved, or waiting to be tried again
//	copy      the service    a waiting letter, appended again unchanged: tells where the event now lies
//	replay    a person       run it once more, edited or not
//	done      the service    it has succeeded
//	discard   a person       nothing more is done with it
//	reopen    a person       undoes discard
//
// A record's timestamp is when it was appended; the event's own is the header
// events-letter-time, so that an old event which fails now is a new letter.
//
// Records without the header events-letter are foreign: they are shown raw and
// never run. Unknown kinds are passed over, so that the protocol can grow.
//
// # The fold
//
// A record names the record that it acts on (events-letter-follows). It takes
// effect unless an operation (replay, done, discard, reopen) with effect on the
// letter lies between the two: then it was written by somebody who did not know
// of that operation. (One without effect stops nothing: of two replays in the
// same instant the second has none, and the failure of the first has.) What is
// done is done, and a first failure follows nothing: these two always take
// effect. The state is that of the newest record with effect. It depends on the
// set of records alone, not on the order in which they are read.
//
// The package has no goroutine, clock, network or logger.
package letters
