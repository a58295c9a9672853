package events

import (
	"context"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/deadletter"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/mark"
)

// runOnce runs an exactly-once handler in a transaction with the marks of its
// events.
func (l *Library[ID, TX, DB]) runOnce(h *registeredHandler, handler eventmodels.HandlerTxInterface[ID, TX]) runFunc {
	identity := mark.Handler{Prefix: l.settings.prefix, Group: h.group, Name: h.name, BaseTopic: h.topic}
	batch, isBatch := handler.(eventmodels.BatchHandlerTxInterface[ID, TX])
	written, found := MarksCounts.WithLabelValues(h.name, h.topic, "new"), MarksCounts.WithLabelValues(h.name, h.topic, "found")
	return func(ctx context.Context, ms []*eventmodels.Message) error {
		marks := l.marksOf(ctx, identity, ms)
		handled := 0
		err := l.db.TransactOnce(ctx, marks, func(tx TX, fresh []bool) error {
			todo := make([]*eventmodels.Message, 0, len(ms))
			positions := make([]int, 0, len(ms))
			for i, m := range ms {
				if fresh[i] {
					todo, positions = append(todo, m), append(positions, i)
				}
			}
			handled = len(todo)
			if isBatch {
				return atPositions(batch.HandleBatchTx(ctx, tx, todo), positions)
			}
			return atPositions(handler.HandleTx(ctx, tx, todo[0]), positions)
		})
		if err == nil {
			written.Add(float64(handled))
			found.Add(float64(len(ms) - handled))
		}
		return err
	}
}

// atPositions translates what a handler says of the events that it got, which
// were at positions in the batch. Any error that it returns rolls back; that of
// a handler which names no event is none.
func atPositions(err error, positions []int) error {
	failed, all := eventmodels.SplitBatchError(err, len(positions))
	if all != nil || len(failed) == 0 {
		return all
	}
	var translated eventmodels.BatchError
	for i, e := range failed {
		translated.Fail(positions[i], e)
	}
	return &translated
}

// marksOf returns the marks of messages for a handler. A letter's, which is
// delivered by itself, is that of the event, whatever its place is now.
func (l *LibraryNoDB) marksOf(ctx context.Context, h mark.Handler, ms []*eventmodels.Message) []eventmodels.Mark {
	if own, ok := deadletter.MarkOf(ctx); ok {
		return []eventmodels.Mark{own}
	}
	origin, isLetter := deadletter.OriginOf(ctx)
	marks := make([]eventmodels.Mark, len(ms))
	for i, m := range ms {
		switch {
		case m.ID != "":
			marks[i] = mark.Of(h, m.Source, m.ID)
		case isLetter:
			marks[i] = mark.OfOrigin(h, origin)
		default:
			marks[i] = mark.OfOrigin(h, mark.Origin{
				Topic: string(l.wireTopic(m.Topic)), Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp,
			})
		}
	}
	return marks
}

// transactionPlaces bounds how many exactly-once handlers of a Library have a
// transaction at the same time: two less than the pool has connections, which
// are left to the rest of the service, but at least one; and no more than can
// write. nil: no bound.
func transactionPlaces(db interface{ MaxConnections() int }) *delivery.Places {
	n := 0
	if connections := db.MaxConnections(); connections > 0 {
		n = max(connections-2, 1)
	}
	if one, ok := db.(interface{ OneWriter() bool }); ok && one.OneWriter() {
		n = 1 // others would use up their timeouts waiting for it
	}
	if n == 0 {
		return nil
	}
	return delivery.NewPlaces(n)
}
