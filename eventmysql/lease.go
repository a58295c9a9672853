package eventmysql

import "github.com/seed46dd6f11/events/internal/mysqldb"

// maxEpoch is where the epochs of a producer id end: Kafka's end at 32,767,
// and a lease does not come near. What takes the lease then has no producer
// id, asks Kafka for one, and records it with SetProducer.
const maxEpoch = "32000"

// The clock is that of the statement's start. One that has waited for another's
// change takes the lease for longer valid than it is, never for shorter.
const (
	firstLease = `
INSERT IGNORE INTO events_lease (scope, owner, epoch, producer_id, cluster_id, expires_at) VALUES (?, '', 0, -1, '', 0)`

	// producer_id comes before epoch: an assignment sees those before it.
	acquireLease = `
UPDATE events_lease SET
    producer_id = IF(epoch < ` + maxEpoch + `, producer_id, -1),
    epoch       = IF(epoch < ` + maxEpoch + `, epoch + 1, 0),
    owner       = ?,
    cluster_id  = ?,
    expires_at  = ` + now + ` + ?
WHERE scope = ? AND cluster_id IN ('', ?) AND (owner = ? OR expires_at <= ` + now + `)`

	readLease = `
SELECT owner, cluster_id, epoch, producer_id, done_to, expires_at > ` + now + ` FROM events_lease WHERE scope = ?`

	// The microsecond makes it a change in any case: connections of an
	// application's pool may not count rows that stay as they are.
	setProducer  = `UPDATE events_lease SET producer_id = ?, epoch = ?, expires_at = expires_at + 1 WHERE scope = ? AND owner = ? AND epoch = ?`
	renewLease   = `UPDATE events_lease SET expires_at = ` + now + ` + ?, done_to = ? WHERE scope = ? AND owner = ? AND epoch = ?`
	releaseLease = `UPDATE events_lease SET expires_at = 0, done_to = ? WHERE scope = ? AND owner = ? AND epoch = ?`
)

var leaseStatements = mysqldb.LeaseStatements{
	First: firstLease, Acquire: acquireLease, Read: readLease, SetProducer: setProducer, Renew: renewLease, Release: releaseLease,
}
