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

// chore is something that is done about rows of which Kafka has decided. Each has
// a goroutine of its own, so that one that fails is not in the way of the others.
type chore struct {
	name string
	due  <-chan struct{} // there may be something to do
	left func() bool     // there is
	do   func(context.Context) error
}

// deletes and parks are the chores of a leadership: what Kafka has acknowledged
// leaves the table, what it has refused is parked.
func (l *leadership) deletes() chore {
	return chore{name: "delete", due: l.flight.deletable, left: l.flight.hasAcked, do: l.deleteSome}
}

func (l *leadership) parks() chore {
	return chore{name: "park", due: l.flight.parkable, left: l.flight.hasRefused, do: l.parkSome}
}

// keepUp does a chore until lastRow is closed and nothing is left, or ctx ends.
// What comes while a statement runs is the next one's batch. It outlives the lease:
// a row that Kafka has acknowledged may be deleted by anyone.
func (l *leadership) keepUp(ctx context.Context, lastRow <-chan struct{}, c chore) {
	for finishing := false; !finishing; {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		case <-lastRow:
			finishing = true
		}
		for failures := 0; c.left() && ctx.Err() == nil; {
			err := c.do(ctx)
			if err == nil {
				failures = 0
			} else if ctx.Err() == nil {
				failures++
				l.relay.failed(c.name, failures, err)
				wait(ctx, retryDelete.Delay(failures, jitter()))
			}
		}
	}
}

// deleteSome runs one delete. What fails is given back.
func (l *leadership) deleteSome(ctx context.Context) error {
	keys := l.flight.takeAcked(deleteBatch)
	if err := l.store.DeleteOutbox(ctx, l.cfg.Scope, keys); err != nil {
		l.flight.giveBack(keys, nil)
		return err
	}
	l.flight.deleted(keys)
	return nil
}

// parkSome parks the rows that wait for it. What fails is given back.
func (l *leadership) parkSome(ctx context.Context) error {
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
