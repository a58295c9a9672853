package events2

import "github.com/seed46dd6f11/events/internal/mysqldb"

// maxEpoch is where the epochs of a producer id end: Kafka's end at 32,767,
// and a lease does not come near. What takes the lease then has no producer
// id, asks Kafka for one, and records it with SetProducer.
const maxEpoch = "32000"

// The clock is that of the statement's start, of the aggregator that runs it:
// the aggregators' clocks must agree to within a fraction of the lease's time.
//
// producer_id comes before epoch: whether an assignment sees those before it or
// none of them, it is right. Setting the producer changes the row in any case,
// by a microsecond: connections may not count rows that stay as they are.
var leaseStatements = mysqldb.LeaseStatements{
	First: `
INSERT IGNORE INTO events_lease (scope, owner, epoch, producer_id, cluster_id, expires_at) VALUES (?, '', 0, -1, '', 0)`,
	Acquire: `
UPDATE events_lease SET
    producer_id = IF(epoch < ` + maxEpoch + `, producer_id, -1),
    epoch       = IF(epoch < ` + maxEpoch + `, epoch + 1, 0),
    owner       = ?,
    cluster_id  = ?,
    expires_at  = ` + now + ` + ?
WHERE scope = ? AND cluster_id IN ('', ?) AND (owner = ? OR expires_at <= ` + now + `)`,
	Read: `
SELECT owner, cluster_id, epoch, producer_id, done_to, expires_at > ` + now + ` FROM events_lease WHERE scope = ?`,
	SetProducer: `UPDATE events_lease SET producer_id = ?, epoch = ?, expires_at = expires_at + 1 WHERE scope = ? AND owner = ? AND epoch = ?`,
	Renew:       `UPDATE events_lease SET expires_at = ` + now + ` + ?, done_to = ? WHERE scope = ? AND owner = ? AND epoch = ?`,
	Release:     `UPDATE events_lease SET expires_at = 0, done_to = ? WHERE scope = ? AND owner = ? AND epoch = ?`,
}
