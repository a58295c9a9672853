package eventpg

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events/eventmodels"
)

// maxEpoch is where the epochs of a producer id end: Kafka's end at 32,767,
// and a lease does not come near. What takes the lease then has no producer
// id, asks Kafka for one, and records it with SetProducer.
const maxEpoch = 32_000

// acquireLease: of two that try at once, one waits for the other's row and
// then sees that it is taken, by a clock that is read after the wait.
const acquireLease = `
INSERT INTO events_lease AS l (scope, owner, epoch, producer_id, cluster_id, expires_at)
VALUES ($1, $2, 1, -1, $3, clock_timestamp() + $4::bigint * interval '1 microsecond')
ON CONFLICT (scope) DO UPDATE SET
    owner       = excluded.owner,
    epoch       = CASE WHEN l.epoch < $5::integer THEN l.epoch + 1 ELSE 0 END,
    producer_id = CASE WHEN l.epoch < $5::integer THEN l.producer_id ELSE -1 END,
    expires_at  = clock_timestamp() + $4::bigint * interval '1 microsecond'
WHERE l.cluster_id = excluded.cluster_id
  AND (l.owner = excluded.owner OR l.expires_at <= clock_timestamp())
RETURNING epoch, producer_id, done_to`

// AcquireLease implements [eventmodels.OutboxStore].
func (s *store) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (l eventmodels.Lease, held bool, err error) {
	err = s.doLease(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		taken := eventmodels.Lease{Scope: scope, Owner: owner, ClusterID: clusterID}
		err := conn.QueryRow(ctx, acquireLease, scope, owner, clusterID, ttl.Microseconds(), maxEpoch).Scan(&taken.Epoch, &taken.ProducerID, &taken.DoneTo)
		if err == nil {
			l, held = taken, true
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		recorded := clusterID
		err = conn.QueryRow(ctx, `SELECT owner, cluster_id FROM events_lease WHERE scope = $1`, scope).Scan(&l.Owner, &recorded)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) { // no row: somebody has deleted it, the next try takes it
			return err
		}
		if recorded != clusterID {
			return &eventmodels.ClusterMismatchError{Scope: scope, Recorded: recorded, Connected: clusterID}
		}
		return nil
	})
	return l, held, err
}

// SetProducer implements [eventmodels.OutboxStore].
func (s *store) SetProducer(ctx context.Context, l eventmodels.Lease, producerID int64, epoch int16) (eventmodels.Lease, error) {
	const query = `
UPDATE events_lease SET producer_id = $4, epoch = $5
WHERE scope = $1 AND owner = $2 AND epoch = $3`
	if err := s.changeLease(ctx, query, l.Scope, l.Owner, l.Epoch, producerID, epoch); err != nil {
		return l, err
	}
	l.ProducerID, l.Epoch = producerID, epoch
	return l, nil
}

// RenewLease implements [eventmodels.OutboxStore].
func (s *store) RenewLease(ctx context.Context, l eventmodels.Lease, ttl time.Duration) error {
	const query = `
UPDATE events_lease SET expires_at = clock_timestamp() + $4::bigint * interval '1 microsecond', done_to = $5
WHERE scope = $1 AND owner = $2 AND epoch = $3`
	return s.changeLease(ctx, query, l.Scope, l.Owner, l.Epoch, ttl.Microseconds(), l.DoneTo)
}

// ReleaseLease implements [eventmodels.OutboxStore].
func (s *store) ReleaseLease(ctx context.Context, l eventmodels.Lease) error {
	const query = `
UPDATE events_lease SET expires_at = '-infinity', done_to = $4
WHERE scope = $1 AND owner = $2 AND epoch = $3`
	err := s.changeLease(ctx, query, l.Scope, l.Owner, l.Epoch, l.DoneTo)
	if errors.Is(err, eventmodels.ErrLeaseLost) {
		return nil
	}
	return err
}

// changeLease runs a statement that changes the row of a lease if its holder
// still has it.
func (s *store) changeLease(ctx context.Context, query string, args ...any) error {
	return s.doLease(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, query, args...)
		if err == nil && tag.RowsAffected() == 0 {
			return eventmodels.ErrLeaseLost
		}
		return err
	})
}

// LookLease implements [eventmodels.OutboxStore].
func (s *store) LookLease(ctx context.Context, scope string) (state eventmodels.LeaseState, err error) {
	err = s.doLease(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, `SELECT owner, expires_at > clock_timestamp(), done_to FROM events_lease WHERE scope = $1`, scope).
			Scan(&state.Owner, &state.Live, &state.DoneTo)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return state, err
}
