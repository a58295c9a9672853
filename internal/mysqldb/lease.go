package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Leases are the methods of an [eventmodels.OutboxStore] that are about
// leases.
//
// Each change is one statement in autocommit: a process that stands still
// between two would keep the row locked, and its successor out.
type Leases struct {
	Connections *Connections
	Statements  LeaseStatements
	// Explain adds to errors what to do.
	Explain func(error) error
}

// LeaseStatements are SQL texts, with the parameters of each.
type LeaseStatements struct {
	First       string // scope: the row, as one that nobody has
	Acquire     string // owner, cluster id, microseconds, scope, cluster id, owner: no row is changed if another has it
	Read        string // scope: owner, cluster id, epoch, producer id, done to, whether it is live
	SetProducer string // producer id, epoch, scope, owner, epoch: the row counts as changed in any case
	Renew       string // microseconds, done to, scope, owner, epoch
	Release     string // done to, scope, owner, epoch
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
	err = conn.QueryRowContext(ctx, l.Statements.Read, []byte(scope)).Scan(&r.owner, &r.clusterID, &r.epoch, &r.producerID, &r.doneTo, &r.live)
	return r, err
}

// AcquireLease implements [eventmodels.OutboxStore].
func (l *Leases) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (taken eventmodels.Lease, held bool, err error) {
	err = l.Connections.Lease(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if _, err := l.query(ctx, conn, scope); errors.Is(err, sql.ErrNoRows) {
			if _, err := exec(ctx, conn, l.Statements.First, []byte(scope)); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		changed, err := exec(ctx, conn, l.Statements.Acquire, []byte(owner), []byte(clusterID), ttl.Microseconds(), []byte(scope), []byte(clusterID), []byte(owner))
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
	if err := l.changeLease(ctx, lease, l.Statements.SetProducer, producerID, epoch); err != nil {
		return lease, err
	}
	lease.ProducerID, lease.Epoch = producerID, epoch
	return lease, nil
}

// RenewLease implements [eventmodels.OutboxStore].
func (l *Leases) RenewLease(ctx context.Context, lease eventmodels.Lease, ttl time.Duration) error {
	return l.changeLease(ctx, lease, l.Statements.Renew, ttl.Microseconds(), lease.DoneTo)
}

// ReleaseLease implements [eventmodels.OutboxStore].
func (l *Leases) ReleaseLease(ctx context.Context, lease eventmodels.Lease) error {
	err := l.changeLease(ctx, lease, l.Statements.Release, lease.DoneTo)
	if errors.Is(err, eventmodels.ErrLeaseLost) {
		return nil // somebody else's is not released
	}
	return err
}

// changeLease runs a statement that changes the row of a lease if its holder
// still has it.
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
