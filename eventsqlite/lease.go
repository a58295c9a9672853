package eventsqlite

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
const maxEpoch = 32_000

// leaseRow is a row of events_lease.
type leaseRow struct {
	owner, clusterID string
	epoch            int16
	producerID       int64
	doneTo           int64
	expiresAt        int64
}

// live is by the process's clock: all processes are on one machine.
func (r *leaseRow) live(now time.Time) bool { return r.expiresAt > micros(now) }

// readLease returns sql.ErrNoRows for a scope that nobody has relayed yet.
func readLease(ctx context.Context, db rowQueryer, scope string) (leaseRow, error) {
	var r leaseRow
	err := db.QueryRowContext(ctx, `SELECT owner, cluster_id, epoch, producer_id, done_to, expires_at FROM events_lease WHERE scope = ?`, scope).
		Scan(&r.owner, &r.clusterID, &r.epoch, &r.producerID, &r.doneTo, &r.expiresAt)
	return r, err
}

// AcquireLease implements [eventmodels.OutboxStore].
func (s *store) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (eventmodels.Lease, bool, error) {
	var (
		lease eventmodels.Lease
		held  bool
	)
	err := s.write(ctx, s.db, func(tx *sql.Tx) (err error) {
		lease, held, err = acquireLease(ctx, tx, eventmodels.Lease{Scope: scope, Owner: owner, ClusterID: clusterID}, ttl)
		return err
	})
	if err != nil {
		return eventmodels.Lease{}, false, err
	}
	return lease, held, nil
}

func acquireLease(ctx context.Context, tx *sql.Tx, want eventmodels.Lease, ttl time.Duration) (eventmodels.Lease, bool, error) {
	now := time.Now() // after the wait for the write lock
	is, err := readLease(ctx, tx, want.Scope)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		is = leaseRow{clusterID: want.ClusterID, producerID: -1}
	case err != nil:
		return eventmodels.Lease{}, false, err
	case is.clusterID != want.ClusterID:
		return eventmodels.Lease{}, false, &eventmodels.ClusterMismatchError{Scope: want.Scope, Recorded: is.clusterID, Connected: want.ClusterID}
	case is.owner != want.Owner && is.live(now):
		return eventmodels.Lease{Owner: is.owner}, false, nil
	}
	want.Epoch, want.ProducerID, want.DoneTo = is.epoch+1, is.producerID, is.doneTo
	if is.epoch >= maxEpoch {
		want.Epoch, want.ProducerID = 0, -1
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO events_lease (scope, owner, epoch, producer_id, cluster_id, expires_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (scope) DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch, producer_id = excluded.producer_id, expires_at = excluded.expires_at`,
		want.Scope, want.Owner, want.Epoch, want.ProducerID, want.ClusterID, micros(now.Add(ttl)))
	return want, err == nil, err
}

// SetProducer implements [eventmodels.OutboxStore].
func (s *store) SetProducer(ctx context.Context, l eventmodels.Lease, producerID int64, epoch int16) (eventmodels.Lease, error) {
	err := s.updateLease(ctx, l, func(time.Time) (string, []any) {
		return `producer_id = ?, epoch = ?`, []any{producerID, epoch}
	})
	if err != nil {
		return eventmodels.Lease{}, err
	}
	l.ProducerID, l.Epoch = producerID, epoch
	return l, nil
}

// RenewLease implements [eventmodels.OutboxStore].
func (s *store) RenewLease(ctx context.Context, l eventmodels.Lease, ttl time.Duration) error {
	return s.updateLease(ctx, l, func(now time.Time) (string, []any) {
		return `expires_at = ?, done_to = ?`, []any{micros(now.Add(ttl)), l.DoneTo}
	})
}

// ReleaseLease implements [eventmodels.OutboxStore].
func (s *store) ReleaseLease(ctx context.Context, l eventmodels.Lease) error {
	err := s.updateLease(ctx, l, func(time.Time) (string, []any) { return `expires_at = 0, done_to = ?`, []any{l.DoneTo} })
	if errors.Is(err, eventmodels.ErrLeaseLost) {
		return nil // somebody else's is not released
	}
	return err
}

// updateLease changes the row if it still is l's. The change is made after the
// wait for the write lock, with the time of then.
func (s *store) updateLease(ctx context.Context, l eventmodels.Lease, change func(now time.Time) (set string, args []any)) error {
	return s.write(ctx, s.db, func(tx *sql.Tx) error {
		set, args := change(time.Now())
		result, err := tx.ExecContext(ctx, `UPDATE events_lease SET `+set+` WHERE scope = ? AND owner = ? AND epoch = ?`,
			append(args, l.Scope, l.Owner, l.Epoch)...)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err == nil && changed == 0 {
			err = fmt.Errorf("scope %q, epoch %d: %w", l.Scope, l.Epoch, eventmodels.ErrLeaseLost)
		}
		return err
	})
}

// LookLease implements [eventmodels.OutboxStore].
func (s *store) LookLease(ctx context.Context, scope string) (eventmodels.LeaseState, error) {
	var row leaseRow
	err := whileBusy(ctx, func() (err error) {
		row, err = readLease(ctx, s.db, scope)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return eventmodels.LeaseState{}, nil
	}
	if err != nil {
		return eventmodels.LeaseState{}, err
	}
	return eventmodels.LeaseState{Owner: row.owner, Live: row.live(time.Now()), DoneTo: row.doneTo}, nil
}
