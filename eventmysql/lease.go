package eventmysql

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

// Each change of the lease is one statement in autocommit: a process that
// stands still between two would keep the row locked, and its successor out.
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
SELECT owner, cluster_id, epoch, producer_id, expires_at > ` + now + ` FROM events_lease WHERE scope = ?`

	// The microsecond makes it a change in any case: connections of an
	// application's pool may not count rows that stay as they are.
	setProducer  = `UPDATE events_lease SET producer_id = ?, epoch = ?, expires_at = expires_at + 1 WHERE scope = ? AND owner = ? AND epoch = ?`
	renewLease   = `UPDATE events_lease SET expires_at = ` + now + ` + ? WHERE scope = ? AND owner = ? AND epoch = ?`
	releaseLease = `UPDATE events_lease SET expires_at = 0 WHERE scope = ? AND owner = ? AND epoch = ?`
)

// leaseRow is a row of events_lease.
type leaseRow struct {
	owner, clusterID string
	epoch            int16
	producerID       int64
	live             bool
}

// queryLease returns sql.ErrNoRows for a scope that nobody has relayed yet.
func queryLease(ctx context.Context, conn *sql.Conn, scope string) (r leaseRow, err error) {
	err = conn.QueryRowContext(ctx, readLease, []byte(scope)).Scan(&r.owner, &r.clusterID, &r.epoch, &r.producerID, &r.live)
	return r, err
}

// AcquireLease implements [eventmodels.OutboxStore].
func (s *store) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (l eventmodels.Lease, held bool, err error) {
	err = s.connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if _, err := queryLease(ctx, conn, scope); errors.Is(err, sql.ErrNoRows) {
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
		row, err := queryLease(ctx, conn, scope)
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // no row: somebody has deleted it, the next try takes it
			return err
		}
		switch {
		// An owner acquires on one goroutine: the epoch is still that of this
		// acquisition, if nobody else has taken the lease since.
		case changed > 0 && row.owner == owner:
			l = eventmodels.Lease{Scope: scope, Owner: owner, ClusterID: clusterID, Epoch: row.epoch, ProducerID: row.producerID}
			held = true
		case row.clusterID != "" && row.clusterID != clusterID:
			return &eventmodels.ClusterMismatchError{Scope: scope, Recorded: row.clusterID, Connected: clusterID}
		default:
			l.Owner = row.owner
		}
		return nil
	})
	if err != nil {
		return eventmodels.Lease{}, false, explainSchema(err)
	}
	return l, held, nil
}

// SetProducer implements [eventmodels.OutboxStore].
func (s *store) SetProducer(ctx context.Context, l eventmodels.Lease, producerID int64, epoch int16) (eventmodels.Lease, error) {
	if err := s.changeLease(ctx, l, setProducer, producerID, epoch); err != nil {
		return l, err
	}
	l.ProducerID, l.Epoch = producerID, epoch
	return l, nil
}

// RenewLease implements [eventmodels.OutboxStore].
func (s *store) RenewLease(ctx context.Context, l eventmodels.Lease, ttl time.Duration) error {
	return s.changeLease(ctx, l, renewLease, ttl.Microseconds())
}

// ReleaseLease implements [eventmodels.OutboxStore].
func (s *store) ReleaseLease(ctx context.Context, l eventmodels.Lease) error {
	err := s.changeLease(ctx, l, releaseLease)
	if errors.Is(err, eventmodels.ErrLeaseLost) {
		return nil // somebody else's is not released
	}
	return err
}

// changeLease runs a statement that changes the row of a lease if its holder
// still has it.
func (s *store) changeLease(ctx context.Context, l eventmodels.Lease, query string, args ...any) error {
	args = append(args, []byte(l.Scope), []byte(l.Owner), l.Epoch)
	return explainSchema(s.connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		found, err := exec(ctx, conn, query, args...)
		if err == nil && found == 0 {
			return fmt.Errorf("scope %q, epoch %d: %w", l.Scope, l.Epoch, eventmodels.ErrLeaseLost)
		}
		return err
	}))
}

// LookLease implements [eventmodels.OutboxStore].
func (s *store) LookLease(ctx context.Context, scope string) (state eventmodels.LeaseState, err error) {
	err = s.connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		row, err := queryLease(ctx, conn, scope)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		state = eventmodels.LeaseState{Owner: row.owner, Live: row.live}
		return err
	})
	return state, explainSchema(err)
}
