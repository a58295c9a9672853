package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// ParkedEvent is an event of a committed transaction that Kafka has refused for
// itself, because it is too large for example. It stays in the database until
// somebody requeues or discards it; later events of its key have passed it.
type ParkedEvent struct {
	ID    uuid.UUID `json:"id"`
	Topic string    `json:"topic"` // without prefix
	// Key is the event's key, nil if it has none.
	Key []byte `json:"key,omitempty"`
	// PayloadSize is in bytes.
	PayloadSize int `json:"payload_size"`
	// Error is why Kafka has refused it.
	Error     string    `json:"error"`
	CreatedAt time.Time `json:"created_at"`
	ParkedAt  time.Time `json:"parked_at"`
}

// parkedPage is how many parked rows are read at a time.
const parkedPage = 200

// ParkedEvents lists the parked events of this Library's outbox, those first
// that were parked last. They are read a page at a time. An error
// ([ErrNoDatabase] for example) is the last thing that it yields.
func (l *Library[ID, TX, DB]) ParkedEvents(ctx context.Context) iter.Seq2[ParkedEvent, error] {
	return func(yield func(ParkedEvent, error) bool) {
		err := l.withOutbox(ctx, func(store eventmodels.OutboxStore) error {
			for after := (eventmodels.ParkedKey{}); ; {
				page, err := store.ListParked(ctx, l.settings.prefix, after, parkedPage)
				if err != nil {
					return err
				}
				for i := range page {
					r := &page[i]
					e := ParkedEvent{
						ID: r.ID, Topic: l.topicOf(kafka.WireTopic(r.Topic)), Key: r.Key, PayloadSize: r.PayloadSize,
						Error: r.Error, CreatedAt: r.CreatedAt, ParkedAt: r.ParkedAt,
					}
					if !yield(e, nil) {
						return errBroken
					}
					after = r.ParkedKey()
				}
				if len(page) < parkedPage {
					return nil
				}
			}
		})
		if err != nil && !errors.Is(err, errBroken) {
			yield(ParkedEvent{}, fmt.Errorf("list parked events: %w", err))
		}
	}
}

// errBroken ends the reading of a list whose reader has seen enough.
var errBroken = errors.New("the iteration was broken off")

// RequeueParked puts parked events back into the outbox, behind what is there,
// with the ids that they have, and wakes the relay. It returns how many there
// were: an id that is not parked any more is no error. If Kafka still refuses
// an event, it is parked again.
func (l *Library[ID, TX, DB]) RequeueParked(ctx context.Context, ids ...uuid.UUID) (n int, err error) {
	err = l.withOutbox(ctx, func(store eventmodels.OutboxStore) error {
		n, err = store.RequeueParked(ctx, l.settings.prefix, ids)
		if err != nil || n == 0 {
			return err
		}
		l.relay.mu.Lock()
		run := l.relay.running
		if run != nil {
			run.relay.Wake()
		}
		l.relay.mu.Unlock()
		if err := store.Wake(ctx, l.settings.prefix); err != nil {
			l.logger().Warn("relays of other processes were not told of requeued events; they find them with their next look", "error", err)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("requeue parked events: %w", err)
	}
	return n, err
}

// DiscardParked deletes parked events: they are never sent. It returns how many
// there were; an id that is not parked any more is no error.
func (l *Library[ID, TX, DB]) DiscardParked(ctx context.Context, ids ...uuid.UUID) (n int, err error) {
	err = l.withOutbox(ctx, func(store eventmodels.OutboxStore) error {
		n, err = store.DiscardParked(ctx, l.settings.prefix, ids)
		return err
	})
	if err != nil {
		err = fmt.Errorf("discard parked events: %w", err)
	}
	return n, err
}

// OutboxStatus is the state of an outbox.
type OutboxStatus struct {
	// Rows are the events that are not yet known to be in Kafka, Parked those
	// that it has refused. They are counted up to [eventmodels.StatsLimit];
	// beyond it Rows is an estimate, see [eventmodels.OutboxStats], and Parked
	// the limit.
	Rows   int64 `json:"rows"`
	Parked int64 `json:"parked"`
	// OldestAge is the age of the oldest of Rows by the database's clock.
	OldestAge time.Duration `json:"oldest_age"`
	// LeaseOwner is the process that relays, or did last; "" if none ever has.
	LeaseOwner string `json:"lease_owner"`
	// LeaseLive says that it still does.
	LeaseLive bool `json:"lease_live"`
}

// OutboxStatus asks the database for the state of this Library's outbox.
func (l *Library[ID, TX, DB]) OutboxStatus(ctx context.Context) (status OutboxStatus, err error) {
	err = l.withOutbox(ctx, func(store eventmodels.OutboxStore) error {
		lease, err := store.LookLease(ctx, l.settings.prefix)
		if err != nil {
			return err
		}
		stats, err := store.Stats(ctx, l.settings.prefix, lease.DoneTo)
		status = OutboxStatus{Rows: stats.Rows, Parked: stats.Parked, OldestAge: stats.OldestAge, LeaseOwner: lease.Owner, LeaseLive: lease.Live}
		return err
	})
	if err != nil {
		err = fmt.Errorf("outbox status: %w", err)
	}
	return status, err
}

// withOutbox calls f with connections of its own.
func (l *Library[ID, TX, DB]) withOutbox(ctx context.Context, f func(eventmodels.OutboxStore) error) error {
	if err := l.run(); err != nil {
		return err
	}
	if !l.HasDB() {
		return ErrNoDatabase
	}
	store, err := l.db.OpenOutbox(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(store), store.Close())
}
