package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// observe tells the observer what has become of an event.
func (e *Engine) observe(d *delivery, j *judgement, now time.Time) {
	o := &e.cfg.Observer
	if j.err == nil && o.Succeeded != nil {
		o.Succeeded(d.h.Handler)
	}
	if j.took.acked && o.Acked != nil {
		o.Acked(d.h.Handler, now.Sub(d.event.polled))
	}
}

// observeFailed counts an attempt that has failed.
func (e *Engine) observeFailed(h *Handler, err error) {
	o := &e.cfg.Observer
	var panicked *PanicError
	if o.Panicked != nil && errors.As(err, &panicked) {
		o.Panicked(h)
	}
	if o.Failed != nil {
		o.Failed(h, err)
	}
}

// reportFailure logs an attempt that has failed, with n events of which d is
// one: a final verdict always, a partition that is blocked when it begins,
// other failures once in a while.
func (e *Engine) reportFailure(d *delivery, j *judgement, n int, now time.Time) {
	v, took, err := j.v, j.took, j.err
	switch {
	case took.pending: // reported with the answer
	case v.Final():
		e.reportFinal(d, j, now)
	case took.blocked:
		e.logSome(slog.LevelError, reportKind{d.h, "blocked"}, now, "events: an event blocks its partition until its handler succeeds (OnFailureBlock); fix the handler or the event's cause",
			append(e.identity(d), slog.Int("attempt", took.attempt), slog.Duration("next_attempt_in", v.Wait), errorAttr(err), stackAttr(err)))
	case v.Kind == Ack:
		// Some handlers ignore most events; identity decodes them again.
		if e.log.Enabled(context.Background(), slog.LevelDebug) {
			e.log.Debug("events: an error was ignored, as it says", append(e.identity(d), errorAttr(err))...)
		}
	default:
		if leftOut, ok := e.warnings.Allow(d.h, now); ok {
			e.warnRetry(d, j, n, leftOut)
		}
	}
}

// warnRetry logs a failure after which n events are tried again, and how many
// were left out since the last one of the handler.
func (e *Engine) warnRetry(d *delivery, j *judgement, n, leftOut int) {
	attrs := append(e.identity(d), slog.Duration("next_attempt_in", j.v.Wait), slog.Int("left_out", leftOut), errorAttr(j.err), stackAttr(j.err))
	if j.shared {
		e.log.Warn("events: a batch has failed and is tried again, as a whole or in halves, until the events that fail are found (further failures of this handler are not logged for a while)",
			append(attrs, slog.Int("events", n), slog.String("verdict", j.v.Kind.String()))...)
		return
	}
	e.log.Warn("events: a handler has failed and is tried again (further failures of this handler are not logged for a while)",
		append(attrs, slog.Int("attempt", j.took.attempt), slog.Bool("counted", !j.v.Uncounted))...)
}

// reportConfirmed reports a final verdict that has waited for the prober.
func (e *Engine) reportConfirmed(c *confirmed, now time.Time) {
	e.reportFinal(c.d, &judgement{v: c.v, took: c.took, err: c.err}, now)
	if c.took.acked && e.cfg.Observer.Acked != nil {
		e.cfg.Observer.Acked(c.d.h.Handler, now.Sub(c.d.event.polled))
	}
}

// reportFinal logs and counts a final verdict.
func (e *Engine) reportFinal(d *delivery, j *judgement, now time.Time) {
	if j.v.Kind == DeadLetter {
		return // reported when its letter is written
	}
	attrs := append(e.identity(d), slog.Int("attempts", j.took.attempt), errorAttr(j.err), stackAttr(j.err))
	if j.v.Kind == Drop {
		e.logSome(slog.LevelError, reportKind{d.h, "dropped"}, now, "events: an event was discarded, since its handler has failed for good (OnFailureDiscard, or a broadcast)", attrs)
		if e.cfg.Observer.Dropped != nil {
			e.cfg.Observer.Dropped(d.h.Handler)
		}
		return
	}
	e.logSome(slog.LevelError, reportKind{d.h, "stuck"}, now, "events: an event has failed for good and blocks its partition (OnFailureBlock without retrying); it is tried again after a restart", attrs)
}

// reportKind is a kind of lines of which a limited number is logged.
type reportKind struct {
	h    *handler
	what string
}

// logSome logs a line, unless there were too many of its kind; the next one says
// how many were left out. The metrics count all.
func (e *Engine) logSome(level slog.Level, kind reportKind, now time.Time, message string, attrs []any) {
	leftOut, ok := e.finals.Allow(kind, now)
	if !ok {
		return
	}
	if leftOut > 0 {
		attrs = append(attrs, slog.Int("left_out", leftOut))
	}
	e.log.Log(context.Background(), level, message, attrs...)
}

// reportOverdue reports a handler that has not returned.
func (e *Engine) reportOverdue(d *delivery, now time.Time) {
	e.log.Error("events: a handler has not returned although its context has ended; its event stays undone and its slot taken until it does. Make it heed its context",
		append(e.identity(d), slog.Duration("timeout", d.h.Timeout))...)
	if e.cfg.Observer.Overdue != nil {
		e.cfg.Observer.Overdue(d.h.Handler)
	}
}

// identity says which event it is. Keys and bodies are not logged: they may be
// personal.
func (e *Engine) identity(d *delivery) []any {
	r := d.event.record
	attrs := make([]any, 0, 12)
	attrs = append(attrs, slog.String("handler", d.h.Name), slog.String("consumer_group", e.cfg.Group),
		slog.String("topic", d.h.Topic), slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset))
	var m eventmodels.Message
	if d.event.decode(&e.cfg, &m, time.Now()) == nil {
		attrs = append(attrs, slog.String("id", bounded(m.ID)))
	}
	return attrs
}

// errorAttr survives an Error method that panics, as that of a nil pointer.
func errorAttr(err error) slog.Attr { return slog.String("error", bounded(fmt.Sprint(err))) }

func stackAttr(err error) slog.Attr {
	var p *PanicError
	if errors.As(err, &p) {
		return slog.String("stack", string(p.Stack))
	}
	return slog.Attr{}
}

// bounded cuts what others have written.
func bounded(s string) string {
	const limit = 1000
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
