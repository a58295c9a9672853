// Package storetest has the tests that every SQL backend passes, without Library
// and Kafka: what transactions commit, exactly-once marks, the relay's lease,
// reading, deleting and parking, migrations, and what is said when something is
// wrong.
//
// A backend describes itself with a [Backend], which also says what is not for
// it, and calls its Run. What only one database has is tested in its package, on
// the same [Database].
// eventtest.Run is above: the whole Library, on the same databases.
package storetest
