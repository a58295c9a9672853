// Package letterdesk is the reader's and the operator's side of dead letters:
// it lists the letters of a group, shows the history of one, and writes the
// records by which people act on them. The protocol is package letters'; the
// service's side, which writes letters and runs replays, is elsewhere and
// knows nothing of this.
//
// # Listing
//
// A letter stands in the list where it failed last: at its newest letter or
// copy with effect. Each partition is read from its end, a step at a time, so
// that the newest letters are known first (backward.go). What a step has read
// goes to a resolver (resolver.go), a plain state that knows which letters'
// states can no longer change by what lies further down, and hands them on in
// the order of the partition. The partitions are merged by time (scan.go).
// Payloads are dropped as soon as a record's headers are read.
//
// What has to be remembered is, of each letter, that it was handed on, and of
// those whose failure has not been reached yet, what was done with them.
//
// # Acting on letters
//
// An operation names the record that it follows. It has no effect if another
// operation has come between (package letters), so who acts looks before he
// writes, which saves a useless record, and after, which decides: two that act
// at the same time both write, and the second one is told.
//
// # Goroutines
//
// A scan has one for each partition, a list of outcomes too; they end before
// the iteration does.
package letterdesk
