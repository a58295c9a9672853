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

	decoding sync.Once
	message  *eventmodels.Message // nil if it cannot be decoded
	err      error

	// first is the delivery to the topic's first handler, which is the only
	// one of most topics: event and delivery are one allocation then.
	first delivery
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
	// pressed: it was woken since its partition's window is full; ripe is
	// before when it is not, zero as long as nobody has asked.
	pressed bool
	ripe    time.Time

	// ---

	// alone: it may fail others, so it runs in no batch.
	alone bool
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
	failures         int // attempts that failed, counted or not
	err              error
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
	}
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

// decode makes the message, once for all deliveries of the event.
func (v *event) decode(cfg *Config) (*eventmodels.Message, error) {
	v.decoding.Do(func() {
		v.message, v.err = safelyDecode(cfg, v.record)
		if v.err != nil && !errors.Is(v.err, eventmodels.ErrDecode) {
			v.err = fmt.Errorf("%w: %w", eventmodels.ErrDecode, v.err)
		}
		if cfg.Observer.Consumed != nil {
			cfg.Observer.Consumed(v.first.h.Topic, v.record, v.message)
		}
	})
	return v.message, v.err
}

func safelyDecode(cfg *Config, record *kafka.Record) (m *eventmodels.Message, err error) {
	defer func() {
		if value := recover(); value != nil {
			m, err = nil, &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	m, err = cfg.Decode(record)
	if err == nil && m == nil {
		err = errors.New("no message")
	}
	if err != nil {
		m = nil
	}
	return m, err
}

// messageFor makes the message that this attempt hands to the handler. Each
// attempt and each handler has its own; the data is shared.
func (d *delivery) messageFor(cfg *Config) (*eventmodels.Message, error) {
	decoded, err := d.event.decode(cfg)
	if err != nil {
		return nil, err
	}
	m := decoded
	if d.failures > 0 || len(d.event.p.topic.handlers) > 1 || len(decoded.Headers) > 0 {
		copied := *decoded
		copied.Headers = maps.Clone(decoded.Headers) // handlers run at the same time
		m = &copied
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
	return m, nil
}
