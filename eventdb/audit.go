package eventdb

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

const (
	// An audit looks at as many seqs at a time as take this long, about.
	auditShort, auditLong = 5 * time.Millisecond, 20 * time.Millisecond
	// auditLeast is the smallest number of them.
	auditLeast = 1000
)

// audit is a look at what has been looked at before: a safety net, which
// brings nothing unless an assumption about the database is wrong. A leadership
// begins with one, since its predecessor may have been wrong, and then there is
// one in each RelayConfig.Rescan.
type audit struct {
	next  int64     // all below it is as it should be; 0: none is under way
	width int64     // of the next piece, in seqs
	ended time.Time // when the last one came to the hint
}

// auditSome does a piece of an audit, in a moment in which there is nothing to
// send. Rows of which it turns out that they were left behind make the relay
// read everything from the beginning.
func (l *leadership) auditSome(ctx context.Context) error {
	a := &l.audit
	now := time.Now()
	switch {
	case a.next == 0 && !a.ended.IsZero() && now.Sub(a.ended) < l.cfg.Rescan:
		return nil
	case a.next == 0:
		a.next, a.width = 1, max(a.width, auditLeast)
	}
	if a.next > l.gaps.Hint() {
		a.next, a.ended = 0, now
		return nil
	}
	piece := eventmodels.SeqRange{Lo: a.next, Hi: l.gaps.Hint()}
	if piece.Hi-piece.Lo >= a.width {
		piece.Hi = piece.Lo + a.width - 1
	}
	held, _, _ := l.flight.beginRead(0, 0)
	page, err := l.store.ReadOutbox(ctx, eventmodels.OutboxRead{
		Scope: l.cfg.Scope, Gaps: []eventmodels.SeqRange{piece}, Hint: math.MaxInt64, Limit: l.cfg.BatchSize, MaxBytes: l.cfg.MaxBytes / 8, Held: held,
	})
	if err != nil {
		l.flight.failedRead()
		l.astray = true
		return fmt.Errorf("read the outbox: %w", err)
	}
	a.next = piece.Hi + 1
	if n := len(page.Rows); n > 0 && (page.Cut || n == l.cfg.BatchSize) {
		a.next = page.Rows[n-1].Seq + 1
	}
	switch took := time.Since(now); {
	case took < auditShort:
		a.width = min(2*a.width, math.MaxInt64/4)
	case took > auditLong:
		a.width = max(a.width/2, auditLeast)
	}
	for _, row := range l.flight.strangers(page.Rows) {
		if l.gaps.Looked(row.Seq) {
			l.relay.log.Error("an event was in the outbox where none could come any more; it is sent now, late. Was the numbering of events_outbox changed, or a transaction open for longer than the relay waits?",
				"id", row.ID, "wire_topic", row.Topic)
			l.gaps.Reset(0)
			a.next, a.ended = 0, now
			break
		}
	}
	return nil
}
