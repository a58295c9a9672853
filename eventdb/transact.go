package eventdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Transact implements [eventmodels.CanTransact]. The events that fn produced
// are inserted just before COMMIT, after the application's row locks are
// taken, so that their order is that of the commits.
func (c *Connection[ID, TX, DB]) Transact(ctx context.Context, fn func(TX) error) error {
	return c.transact(ctx, &RoundTrips{}, nil, fn)
}

// transact begins, runs work, adds the events, commits, and wakes the relay.
func (c *Connection[ID, TX, DB]) transact(ctx context.Context, trips *RoundTrips, opts *sql.TxOptions, work func(TX) error) error {
	tx, err := c.db.BeginTx(context.WithValue(ctx, roundTripsKey{}, trips), opts)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	trips.begun.Store(true)
	finished := false
	defer func() {
		// work has panicked, or called runtime.Goexit.
		if !finished {
			_ = tx.Rollback()
		}
	}()
	rows, err := c.fill(ctx, tx, trips, work)
	if err != nil {
		finished = true
		_ = tx.Rollback() // the first error is the one that matters; a rollback fails when the connection is gone, which rolls back, too
		return err
	}
	err = tx.Commit()
	finished = true
	if err != nil {
		return c.commitError(err)
	}
	if len(rows) > 0 {
		c.committed(ctx, rows)
	}
	return nil
}

// fill does everything between BEGIN and COMMIT and returns the outbox rows
// that COMMIT will make durable.
func (c *Connection[ID, TX, DB]) fill(ctx context.Context, tx TX, trips *RoundTrips, work func(TX) error) ([]eventmodels.OutboxRow, error) {
	producer := c.producer.Load()
	pending, binds := any(tx).(bound)
	if binds && producer != nil {
		pending.bind(func(event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
			return producer.EncodeOutbox(ctx, event)
		}, func(err error) { _ = producer.RecordErrorNoWait("produce-late", err) })
	}
	if err := work(tx); err != nil {
		return nil, err
	}
	if status, ok := any(tx).(interface{ Ended() bool }); ok && status.Ended() {
		return nil, eventmodels.ErrTransactionEnded
	}
	var (
		rows []eventmodels.OutboxRow
		err  error
	)
	if binds {
		rows, err = pending.pendingRows()
	} else if collects, ok := any(tx).(interface {
		GetPendingEvents() []eventmodels.ProducingEvent
	}); ok {
		rows, err = encodeAll(ctx, producer, collects.GetPendingEvents())
	}
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		if err := c.insert(ctx, tx, trips, producer.Scope(), rows); err != nil {
			return nil, err
		}
	}
	return rows, ctx.Err()
}

func encodeAll[ID eventmodels.AbstractID[ID]](ctx context.Context, producer *producerOf[ID], events []eventmodels.ProducingEvent) ([]eventmodels.OutboxRow, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if producer == nil {
		return nil, eventmodels.ErrNotConnected
	}
	rows := make([]eventmodels.OutboxRow, 0, len(events))
	for _, event := range events {
		row, err := producer.EncodeOutbox(ctx, event)
		if err != nil {
			return nil, produceError(event, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// commitError tells a COMMIT that was refused from one whose outcome nobody
// knows.
func (c *Connection[ID, TX, DB]) commitError(err error) error {
	if c.dialect.CommitRefused(err) {
		return fmt.Errorf("commit: %w", err)
	}
	return fmt.Errorf("commit: %w", errors.Join(eventmodels.ErrCommitUnknown, err))
}

// committed hands the rows to the relay. The transaction has taken effect: no
// error of this makes it look failed.
func (c *Connection[ID, TX, DB]) committed(ctx context.Context, rows []eventmodels.OutboxRow) {
	producer := c.producer.Load()
	ids := make(map[string][]ID)
	var id ID
	for i := range rows {
		topic := producer.TopicOf(rows[i].Topic)
		ids[topic] = append(ids[topic], id.Of(rows[i].ID))
	}
	if err := producer.ProduceFromTable(ctx, ids); err != nil {
		_ = producer.RecordErrorNoWait("produce-from-table", fmt.Errorf("%d committed events wait in the outbox for the relay: %w", len(rows), err))
	}
}
