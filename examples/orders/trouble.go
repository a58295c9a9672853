package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// trouble is what goes wrong with -trouble, for somebody who looks at the
// metrics meanwhile. The library is expected to cope with all of it.
type trouble struct {
	broker *eventembed.Broker // nil: a real one, which is left alone

	// booksClosed: no invoice can be written.
	booksClosed atomic.Bool
}

// happen lets it happen, in six parts of the time: the second without Kafka, the
// fourth without invoices.
func (t *trouble) happen(ctx context.Context, p play) {
	part := p.lasting / 6
	tell := func(what string) { fmt.Fprintln(p.out, "trouble: ", what) }
	if !pause(ctx, part) {
		return
	}
	if t.broker != nil {
		tell("Kafka has no leader for " + placed)
		refusing := t.broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: p.prefix + placed}, kerr.NotLeaderForPartition)
		pause(ctx, part)
		refusing.Remove()
		tell("Kafka is well again")
	} else if !pause(ctx, part) {
		return
	}
	if !pause(ctx, part) {
		return
	}
	tell("the books are closed: invoices fail")
	t.booksClosed.Store(true)
	pause(ctx, part)
	t.booksClosed.Store(false)
	tell("the books are open again")
}

// pause returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
