package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// maxEpoch is where the epochs of a producer id end: Kafka's end at 32,767,
// and a lease does not come near. What takes the lease then has no producer
// id, asks Kafka for one, and records it with SetProducer.
const maxEpoch = "32000"

// Each change is one statement in autocommit: a process that stands still
// between two would keep the row locked, and its successor out.
//
// The clock is that of the statement's start. One that has waited for another's
// change takes the lease for longer valid than it is, never for shorter. (In
// SingleStore it is that of the aggregator that runs it.)
const (
	firstLease = `
INSERT IGNORE INTO events_lease (scope, owner, epoch, producer_id, cluster_id, expires_at) VALUES (?, '', 0, -1, '', 0)`

	// producer_id comes before epoch: whether an assignment sees those before it
	// or none of them, it is right.
	acquireLease = `
UPDATE events_lease SET
    producer_id = IF(epoch < ` + maxEpoch + `, producer_id, -1),
    epoch       = IF(epoch < ` + maxEpoch + `, epoch + 1, 0),
    owner       = ?,
    cluster_id  = ?,
    expires_at  = ` + Now + ` + ?
WHERE scope = ? AND cluster_id IN ('', ?) AND (owner = ? OR expires_at <= ` + Now + `)`

	readLease = `
SELECT owner, cluster_id, epoch, producer_id, done_to, expires_at > ` + Now + ` FROM events_lease WHERE scope = ?`

	ofHolder = ` WHERE scope = ? AND owner = ? AND epoch = ?`
	// The microsecond makes it a change in any case: connections of an
	// application's pool may not count rows that stay as they are.
	setProducer  = `UPDATE events_lease SET producer_id = ?, epoch = ?, expires_at = expires_at + 1` + ofHolder
	renewLease   = `UPDATE events_lease SET expires_at = ` + Now + ` + ?, done_to = ?` + ofHolder
	releaseLease = `UPDATE events_lease SET expires_at = 0, done_to = ?` + ofHolder
)

// Leases are the methods of an [eventmodels.OutboxStore] that are about
// leases.
type Leases struct {
	Connections *Connections
	// Explain adds to errors what to do.
	Explain func(error) error
}

// leaseRow is a row of events_lease.
type leaseRow struct {
	owner, clusterID string
	epoch            int16
	producerID       int64
	doneTo           int64
	live             bool
}

// query returns sql.ErrNoRows for a scope that nobody has relayed yet.
func (l *Leases) query(ctx context.Context, conn *sql.Conn, scope string) (r leaseRow, err error) {
	err = conn.QueryRowContext(ctx, readLease, []byte(scope)).Scan(&r.owner, &r.clusterID, &r.epoch, &r.producerID, &r.doneTo, &r.live)
	return r, err
}

// AcquireLease implements [eventmodels.OutboxStore].
func (l *Leases) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (taken eventmodels.Lease, held bool, err error) {
	err = l.Connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if _, err := l.query(ctx, conn, scope); errors.Is(err, sql.ErrNoRows) {
			if _, err := exec(ctx, conn, firstLease, []byte(scope)); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		changed, err := exec(ctx, conn, acquireLease, []byte(owner), []byte(clusterID), ttl.Microseconds(), []byte(scope), []byte(clusterID), []byte(owner))
		if err != nil {
			return err
		}
		row, err := l.query(ctx, conn, scope)
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // no row: somebody has deleted it, the next try takes it
			return err
		}
		switch {
		// An owner acquires on one goroutine: the epoch is still that of this
		// acquisition, if nobody else has taken the lease since.
		case changed > 0 && row.owner == owner:
			taken = eventmodels.Lease{Scope: scope, Owner: owner, ClusterID: clusterID, Epoch: row.epoch, ProducerID: row.producerID, DoneTo: row.doneTo}
			held = true
		case row.clusterID != "" && row.clusterID != clusterID:
			return &eventmodels.ClusterMismatchError{Scope: scope, Recorded: row.clusterID, Connected: clusterID}
		default:
			taken.Owner = row.owner
		}
		return nil
	})
	if err != nil {
		return eventmodels.Lease{}, false, l.Explain(err)
	}
	return taken, held, nil
}

// SetProducer implements [eventmodels.OutboxStore].
func (l *Leases) SetProducer(ctx context.Context, lease eventmodels.Lease, producerID int64, epoch int16) (eventmodels.Lease, error) {
	if err := l.changeLease(ctx, lease, setProducer, producerID, epoch); err != nil {
		return lease, err
	}
	lease.ProducerID, lease.Epoch = producerID, epoch
	return lease, nil
}

// RenewLease implements [eventmodels.OutboxStore].
func (l *Leases) RenewLease(ctx context.Context, lease eventmodels.Lease, ttl time.Duration) error {
	return l.changeLease(ctx, lease, renewLease, ttl.Microseconds(), lease.DoneTo)
}

// ReleaseLease implements [eventmodels.OutboxStore].
func (l *Leases) ReleaseLease(ctx context.Context, lease eventmodels.Lease) error {
	err := l.changeLease(ctx, lease, releaseLease, lease.DoneTo)
	if errors.Is(err, eventmodels.ErrLeaseLost) {
		return nil // somebody else's is not released
	}
	return err
}

// changeLease runs a statement that changes the row of a lease if its holder
// still has it. args are those before ofHolder's.
func (l *Leases) changeLease(ctx context.Context, lease eventmodels.Lease, query string, args ...any) error {
	args = append(args, []byte(lease.Scope), []byte(lease.Owner), lease.Epoch)
	return l.Explain(l.Connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		found, err := exec(ctx, conn, query, args...)
		if err == nil && found == 0 {
			return fmt.Errorf("scope %q, epoch %d: %w", lease.Scope, lease.Epoch, eventmodels.ErrLeaseLost)
		}
		return err
	}))
}

// LookLease implements [eventmodels.OutboxStore].
func (l *Leases) LookLease(ctx context.Context, scope string) (state eventmodels.LeaseState, err error) {
	err = l.Connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		row, err := l.query(ctx, conn, scope)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		state = eventmodels.LeaseState{Owner: row.owner, Live: row.live, DoneTo: row.doneTo}
		return err
	})
	return state, l.Explain(err)
}

// exec runs a statement without rows and returns how many it has changed.
func exec(ctx context.Context, conn *sql.Conn, query string, args ...any) (int64, error) {
	result, err := conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
