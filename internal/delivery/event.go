package delivery

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/ackwindow"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// An event is a record in its partition's window, until all of its deliveries
// have their final verdicts.
type event struct {
	p      *partition
	record *kafka.Record
	slot   ackwindow.Slot
	polled time.Time

	// left is how many deliveries have no final verdict. Guarded by the lock.
	left int

	// decoding is done when the record has been decoded for the first time:
	// err says then why it cannot be. message is kept if several handlers are
	// to get it.
	decoding sync.Once
	message  *eventmodels.Message
	err      error

	// first is the delivery to the topic's first handler, which is the only
	// one of most topics: event and delivery are one allocation then.
	first delivery
}

// events keeps the memory of events that are done, for the next ones.
var events = sync.Pool{New: func() any { return new(event) }}

// recycle gives the memory of an event back that only its worker knows any more.
// Of most events that is so when it has reported that they are done: those that
// have one handler, whose first attempt was their last. Others can still be in
// the hands of those who report an earlier attempt, or the other handlers'; one
// that was overdue in those of the timekeeper. They are left to the garbage
// collector.
func (e *event) recycle() {
	if len(e.p.topic.handlers) == 1 && !e.first.again && !e.first.overdue {
		*e = event{}
		events.Put(e)
	}
}

// place is where a delivery is; doc.go lists them.
type place uint8

const (
	queued place = iota
	due
	running
	waiting
	parked
	grouped
	behind
	asked
	stuck
	sent
	gone
)

// A delivery is an event on its way to one handler. Guarded by the lock, but
// while it runs its worker owns what is below the line.
type delivery struct {
	event *event
	h     *handler
	place place
	// blocks: it is the reason that its partition takes no more records.
	blocks  bool
	overdue bool // was reported
	blocked time.Time
	// next is when it is tried again (waiting; behind, if it has failed), or
	// handed to the sink (sent). Zero while it runs.
	next time.Time
	// lane orders it, between the one ahead of it and the one after it; nil if
	// it has none, or has left it.
	lane         *lane
	ahead, after *delivery
	// verdict is what the prober is asked to confirm (asked), or why the sink
	// has it (sent).
	verdict Verdict
	// underway: no worker has it any more, but its partition still counts it
	// among those that run, since a letter or the like is to be written.
	underway bool
	// unsent is how often that has failed.
	unsent int
	// postponed: it waits because Run has said so, not to be tried again;
	// woken: it is to run again at once if Run says so now.
	postponed, woken bool
	// pressed: it was woken since its partition's window is full. ripe is the
	// earliest time for that, zero as long as nobody has asked.
	pressed bool
	ripe    time.Time

	// ---

	// alone: it may fail others, so it runs in no batch.
	alone bool
	// again: it has begun before.
	again bool
	// giveBack: the last attempt was not counted, so the time from started to
	// the next attempt is added to the deadline.
	giveBack bool
	// attempt is the number of counted attempts, the current one included.
	attempt int
	// started is when the current or last attempt began, deadline when its
	// context ends; zero before the first one.
	started, deadline time.Time
	// conflicts and aways in a row.
	conflicts, aways int
	err              error // of the last attempt that had a verdict of its own
	// firstFailed and lastFailed are when attempts ended that failed.
	firstFailed, lastFailed time.Time
	// note is what Run has handed over with ToSink.
	note any
}

// begin starts an attempt. The caller has the lock.
func (d *delivery) begin(now time.Time) {
	switch {
	case d.deadline.IsZero() || d.h.OnFailure == eventmodels.OnFailureBlock:
		d.deadline = now.Add(d.h.Timeout)
	case d.giveBack:
		d.deadline = d.deadline.Add(now.Sub(d.started))
	case !d.next.IsZero() && now.After(d.next):
		// Its time had come and there was no slot, or a server was away.
		d.deadline = d.deadline.Add(now.Sub(d.next))
	}
	d.again = !d.started.IsZero()
	d.giveBack, d.postponed, d.woken = false, false, false
	d.started, d.next = now, time.Time{}
	d.attempt++
	d.place = running
	d.overdue = false
}

// failedAt notes when an attempt has failed.
func (d *delivery) failedAt(now time.Time) {
	if d.firstFailed.IsZero() {
		d.firstFailed = now
	}
	d.lastFailed = now
}

// uncount takes the last attempt back.
func (d *delivery) uncount() {
	d.attempt--
	d.giveBack = true
}

// renew lets the next attempt begin with the whole timeout.
func (d *delivery) renew() {
	d.attempt--
	d.deadline = time.Time{}
	d.conflicts, d.aways = 0, 0
	d.alone = false
}

// decode makes the message that one attempt hands to its handler. Each attempt
// and each handler has its own, to do with as it likes; data and payload are
// shared. The record is decoded once for all handlers of the topic, and once
// more when the only one tries it again.
func (v *event) decode(cfg *Config, into *eventmodels.Message, now time.Time) error {
	first := false
	v.decoding.Do(func() {
		first = true
		decoded := into
		if v.err = safelyDecode(cfg, v.record, into); v.err != nil {
			decoded = nil
		} else if len(v.p.topic.handlers) > 1 {
			into.SharePayload()
			v.message = new(eventmodels.Message)
			copyTo(v.message, into)
		}
		if cfg.Observer.Consumed != nil {
			cfg.Observer.Consumed(v.first.h.Handler, v.record, decoded, now)
		}
	})
	switch {
	case v.err != nil || first:
		return v.err
	case v.message != nil:
		copyTo(into, v.message)
		return nil
	}
	return safelyDecode(cfg, v.record, into)
}

// copyTo makes into a copy of m with headers of its own.
func copyTo(into, m *eventmodels.Message) {
	*into = *m
	into.Headers = maps.Clone(m.Headers)
}

// safelyDecode leaves nothing in a message that cannot be decoded.
func safelyDecode(cfg *Config, record *kafka.Record, into *eventmodels.Message) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
		if err == nil {
			return
		}
		*into = eventmodels.Message{}
		if !errors.Is(err, eventmodels.ErrDecode) {
			err = fmt.Errorf("%w: %w", eventmodels.ErrDecode, err)
		}
	}()
	*into = eventmodels.Message{} // it may be the memory of another one
	return cfg.Decode(record, into)
}

// messageFor makes the message that this attempt hands to the handler.
func (d *delivery) messageFor(cfg *Config, m *eventmodels.Message) error {
	if err := d.event.decode(cfg, m, d.started); err != nil {
		return err
	}
	m.Topic = d.h.Topic
	if m.BaseTopic == "" { // else the record says it
		m.BaseTopic = d.h.BaseTopic
	}
	m.ConsumerGroup = cfg.Group
	m.HandlerName = d.h.Name
	m.Attempt = d.attempt
	m.Partition = d.event.record.Partition
	m.Offset = d.event.record.Offset
	return nil
}
