package eventdb

import (
	"context"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
)

// deleteBatch is the number of rows that one statement deletes.
const deleteBatch = 2000

var retryDelete = backoff.Schedule{Min: 50 * time.Millisecond, Max: 2 * time.Second, Jitter: 0.5}

// deleteLoop deletes what Kafka has acknowledged and parks what it has
// refused, until lastRow is closed and nothing is left, or ctx ends. What
// comes while a statement runs is the next one's batch. It outlives the lease:
// a row that Kafka has acknowledged may be deleted by anyone.
func (l *leadership) deleteLoop(ctx context.Context, lastRow <-chan struct{}) {
	for finishing := false; !finishing; {
		select {
		case <-ctx.Done():
			return
		case <-l.flight.work:
		case <-lastRow:
			finishing = true
		}
		for failures := 0; l.flight.pendingDeletes() && ctx.Err() == nil; {
			if err := l.deleteSome(ctx); err != nil && ctx.Err() == nil {
				failures++
				l.relay.failed("delete", failures, err)
				wait(ctx, retryDelete.Delay(failures, jitter()))
			}
		}
	}
}

// deleteSome runs one delete and the parks that wait. What fails is given
// back.
func (l *leadership) deleteSome(ctx context.Context) error {
	if keys := l.flight.takeAcked(deleteBatch); len(keys) > 0 {
		if err := l.store.DeleteOutbox(ctx, l.cfg.Scope, keys); err != nil {
			l.flight.giveBack(keys, nil)
			return err
		}
		l.flight.deleted(keys)
	}
	refused := l.flight.takeRefused()
	for i, r := range refused {
		if err := l.store.ParkOutbox(ctx, l.cfg.Scope, r.key, reasonOf(r.err)); err != nil {
			l.flight.giveBack(nil, refused[i:])
			return err
		}
		if leftOut, ok := l.relay.parked.Allow(r.topic, time.Now()); ok {
			l.relay.log.Error("Kafka refuses an event for itself; it is parked. Requeue it when the reason is gone, or discard it",
				"wire_topic", r.topic, "id", r.key.ID, "error", r.err, "left_out", leftOut)
		}
		l.flight.deleted([]eventmodels.OutboxKey{r.key})
	}
	return nil
}

// maxReason bounds the text with which a row is parked.
const maxReason = 8 << 10

// reasonOf makes the text of an error one that every database stores.
func reasonOf(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
