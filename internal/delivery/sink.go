package delivery

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Outgoing is a delivery that is done when the sink has written something.
type Outgoing struct {
	Handler *Handler
	Record  *kafka.Record
	// Message is the record's, nil if it cannot be decoded; group, handler and
	// attempt are not set.
	Message *eventmodels.Message
	// Err is why the handler has failed for good, in Attempts that count,
	// from First (when the first one of all had failed) to Last. nil: Run has
	// returned Note with [ToSink].
	Err         error
	Attempts    int
	First, Last time.Time
	Note        any
}

type sendError struct{ note any }

func (*sendError) Error() string { return "something has to be written before the event is done" }

// ToSink is what Run returns, as it is, instead of nil when the sink has to write
// something before the event is done; note says what. The attempt has
// succeeded, whatever becomes of that. It is not tried again in this epoch.
func ToSink(note any) error { return &sendError{note} }

const (
	// mostOut and mostOutBytes are how much is handed to the sink at once.
	mostOut      = 200
	mostOutBytes = 16 << 20
)

// depart notes that a delivery, which ran, is on its way to the sink.
func (s *scheduler) depart(d *delivery) {
	d.underway = true
	s.underway++
}

// arrive notes that it is not any more, if it was.
func (s *scheduler) arrive(d *delivery) {
	if !d.underway {
		return
	}
	d.underway = false
	s.underway--
	d.event.p.leave()
	s.ringIfIdle()
}

// send hands a delivery to the sink.
func (s *scheduler) send(d *delivery, at time.Time) {
	d.place, d.next = sent, at
	s.outbound = append(s.outbound, d)
	s.wake.sink.ring()
}

// takeOutbound takes what the sink is to write now, and says when there will be
// more.
func (s *scheduler) takeOutbound(now time.Time) (ds []*delivery, next time.Time) {
	size := 0
	s.outbound = filter(s.outbound, func(d *delivery) bool {
		switch {
		case d.next.After(now):
			if next.IsZero() || d.next.Before(next) {
				next = d.next
			}
			return false
		case len(ds) == mostOut || len(ds) > 0 && size+sizeOf(d.event.record) > mostOutBytes:
			next = now
			return false
		}
		size += sizeOf(d.event.record)
		ds = append(ds, d)
		return true
	}, func(*delivery) {})
	return ds, next
}

// written takes the sink's answer. What was written is done, unless its epoch
// has ended meanwhile: then another owner does it again, which may write it
// twice. The others hold their partitions and are written again.
func (s *scheduler) written(ds []*delivery, errs []error, now time.Time) []settled {
	took := make([]settled, len(ds))
	for i, d := range ds {
		p := d.event.p
		switch {
		case d.place != sent || !p.live(d):
			s.forget(d)
			s.enterLine(p)
		case i < len(errs) && errs[i] != nil:
			d.unsent++
			if p.phase == owned {
				p.block(d, now)
			}
			s.send(d, now.Add(s.limits.Resend.Delay(d.unsent, 0)))
		default:
			took[i] = settled{attempt: d.attempt, counts: true, acked: s.done(d)}
		}
	}
	for _, d := range ds {
		s.refill(d.h.topic, now)
	}
	return took
}

// write is the sink's goroutine.
func (e *Engine) write(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		e.mu.Lock()
		ds, next := e.s.takeOutbound(time.Now())
		e.mu.Unlock()
		if len(ds) > 0 {
			e.writeOnce(ctx, ds)
			continue
		}
		var alarm <-chan time.Time
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
		case <-e.s.wake.sink:
		case <-alarm:
		}
	}
}

func (e *Engine) writeOnce(ctx context.Context, ds []*delivery) {
	out := make([]*Outgoing, len(ds))
	for i, d := range ds {
		// The worker that wrote these fields has let go of d under the lock.
		m := new(eventmodels.Message)
		if d.event.decode(&e.cfg, m, time.Now()) != nil {
			m = nil
		}
		out[i] = &Outgoing{Handler: d.h.Handler, Record: d.event.record, Message: m, Attempts: d.attempt, Note: d.note}
		if d.verdict.Kind == DeadLetter {
			out[i].Err, out[i].First, out[i].Last = d.err, d.firstFailed, d.lastFailed
		}
	}
	limited, cancel := context.WithTimeout(ctx, e.cfg.Limits.SinkTimeout)
	errs := e.cfg.Sink(limited, out)
	cancel()
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	e.mu.Lock()
	took := e.s.written(ds, errs, now)
	e.unlock()
	for i, d := range ds {
		if i < len(errs) && errs[i] != nil {
			if leftOut, ok := e.warnings.Allow(unsentWarning{}, now); ok {
				e.log.Error("events: what has to be written before an event is done could not be written; its partition holds, and it is tried again until it can",
					append(e.identity(d), slog.Any("error", errs[i]), slog.Int("left_out", leftOut))...)
			}
			continue
		}
		e.reportWritten(d, out[i], took[i], now)
	}
}

type unsentWarning struct{}

// reportWritten logs a letter, and counts what is done with it.
func (e *Engine) reportWritten(d *delivery, out *Outgoing, took settled, now time.Time) {
	if out.Err != nil {
		e.logSome(slog.LevelWarn, reportKind{d.h, "letter"}, now, "events: a handler has failed for good; a letter of the event is in the dead-letter topic",
			append(e.identity(d), slog.Int("attempts", out.Attempts), slog.Bool("effective", took.counts), errorAttr(out.Err), stackAttr(out.Err)))
	}
	if took.acked && e.cfg.Observer.Acked != nil {
		e.cfg.Observer.Acked(d.h.Handler, now.Sub(d.event.polled))
	}
}
