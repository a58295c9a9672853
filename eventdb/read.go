package eventdb

import (
	"context"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/gapset"
)

// firstRead is the size of the first read, before anything is known about the
// rows' sizes.
const firstRead = 64

// idlePause is the shortest pause of a relay that polls.
const idlePause = time.Millisecond

// rangesOf sets ranges to the question's gaps.
func (l *leadership) rangesOf(q gapset.Question) {
	l.ranges = l.ranges[:0]
	for _, g := range q.Gaps {
		l.ranges = append(l.ranges, eventmodels.SeqRange{Lo: g.Lo, Hi: g.Hi})
	}
}

// read is the reader's loop. It returns nil when stop is closed.
func (l *leadership) read(ctx context.Context, stop <-chan struct{}) error {
	idle := idlePause
	failures := 0
	for {
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		found, complete, err := l.step(ctx)
		if err == nil && complete {
			err = l.auditSome(ctx)
		}
		switch {
		case err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failures++
			l.relay.failed("read", failures, err)
			rest(ctx, stop, retryRead.Delay(failures, jitter()))
		case !complete:
			failures = 0
			idle = idlePause
		default:
			failures = 0
			if found > 0 {
				idle = idlePause
			}
			l.pause(ctx, stop, idle)
			idle = min(2*idle, l.cfg.Poll)
		}
	}
}

var retryRead = backoff.Schedule{Min: 50 * time.Millisecond, Max: 2 * time.Second, Jitter: 0.5}

// rest waits for d, whatever is to be done: a database that cannot answer is not
// asked more often because others commit.
func rest(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	case <-ctx.Done():
	}
}

// pause waits until something is to be done, at most d.
func (l *leadership) pause(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.relay.wake:
	case <-l.relay.heard:
	case <-l.flight.attention:
	case <-stop:
	case <-ctx.Done():
	}
}

// lastPass reads once to the end of the outbox, and waits for what is in
// flight. The error is of a topic that cannot be written.
func (l *leadership) lastPass(ctx context.Context) error {
	for read := false; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !read {
			_, complete, err := l.step(ctx)
			if err != nil {
				return err
			}
			read = complete
			continue
		}
		settled, held := l.flight.settled()
		if settled {
			l.finished = true
			return held
		}
		select {
		case <-l.flight.room:
		case <-l.flight.attention:
			// A topic that is ready has rows that were not read.
			read = false
		case <-ctx.Done():
		}
	}
}

// step reads one page and sends it. It returns how many rows it found to
// send, and whether the page was the last one for now.
func (l *leadership) step(ctx context.Context) (found int, complete bool, err error) {
	if err := l.attend(ctx); err != nil {
		return 0, false, err
	}
	if err := l.begin(ctx); err != nil {
		return 0, false, err
	}
	held, rows, bytes := l.flight.beginRead(l.cfg.MaxRows, l.cfg.MaxBytes)
	limit := l.limit(rows, bytes)
	if limit <= 0 {
		l.flight.failedRead()
		select {
		case <-l.flight.room:
		case <-l.flight.attention:
			signal(l.flight.attention)
		case <-ctx.Done():
		}
		return 0, false, ctx.Err()
	}
	question := l.gaps.Ask()
	l.rangesOf(question)
	// What was committed before now is on the page, or behind it.
	for _, c := range []chan struct{}{l.relay.wake, l.relay.heard} {
		select {
		case <-c:
		default:
		}
	}
	page, err := l.store.ReadOutbox(ctx, eventmodels.OutboxRead{
		Scope: l.cfg.Scope, Gaps: l.ranges, Blockers: question.Blockers, Hint: question.Above, Limit: limit, Held: held,
		// Not less, or a read that passes over what is in flight would do so row
		// by row.
		MaxBytes: max(bytes, l.cfg.MaxBytes/8),
	})
	if err != nil {
		l.flight.failedRead()
		l.astray = true
		return 0, false, fmt.Errorf("read the outbox: %w", err)
	}
	if ctx.Err() == nil && !time.Now().Before(l.keeper.deadline()) {
		// The process stood still, and another one may have begun. Brokers
		// refuse what is written where that one has written, and what has no
		// key can go elsewhere.
		l.keeper.lost(errNotRenewed)
	}
	if err := ctx.Err(); err != nil {
		l.flight.failedRead()
		return 0, false, err
	}
	complete = len(page.Rows) < limit && !page.Cut && !page.Ended
	if err := l.observe(question, page, complete); err != nil {
		l.flight.failedRead()
		l.astray = true
		return 0, false, err
	}
	send := l.flight.admit(page.Rows, held)
	l.measure(send)
	if len(send) > 0 {
		l.spans.begin(send)
		l.sender.Send(send)
	}
	if now := time.Now(); now.Sub(l.noted) >= noteEvery {
		l.noted = now
		l.note()
	}
	return len(send), complete, nil
}

// limit is the number of rows to ask for, so that what they are likely to
// weigh fits; 0 if there is no room. It may be a little more than there is
// room for: a read from the beginning passes over rows in flight, and must not
// do so one by one.
func (l *leadership) limit(rows, bytes int) int {
	switch {
	case rows <= 0 || bytes <= 0:
		return 0
	case l.rowBytes == 0:
		return min(l.cfg.BatchSize, firstRead)
	}
	return min(l.cfg.BatchSize, max(rows, firstRead), max(1, bytes/l.rowBytes))
}

func (l *leadership) measure(rows []*eventmodels.OutboxRow) {
	if len(rows) == 0 {
		return
	}
	total := 0
	for _, row := range rows {
		total += sizeOf(row)
	}
	average := total/len(rows) + 1
	if average > l.rowBytes {
		l.rowBytes = average // at once: memory is what it protects
	} else {
		l.rowBytes = (3*l.rowBytes + average) / 4
	}
}

// observe tells the gap set what a page has shown.
func (l *leadership) observe(q gapset.Question, page eventmodels.OutboxPage, complete bool) error {
	l.seqs = l.seqs[:0]
	for i := range page.Rows {
		l.seqs = append(l.seqs, page.Rows[i].Seq)
	}
	var proof gapset.Proof
	switch page.Proof {
	case eventmodels.ProofXID:
		proof = gapset.XID(page.Xmin, page.Drawn).Running(page.Running, page.Xmax)
	case eventmodels.ProofSerial:
		proof = gapset.Serial()
	default:
		// Not the wall clock's time: set forward, it would close gaps that somebody
		// may still fill.
		proof = gapset.Clock(l.began.Add(time.Since(l.began)), l.cfg.GapPatience)
	}
	return l.gaps.Observe(q, gapset.Page{Seqs: l.seqs, Complete: complete, Ended: page.Ended, Proof: proof})
}
