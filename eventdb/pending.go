package eventdb

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Pending makes a transaction type that embeds it one that can produce
// events ([eventmodels.EnhancedTX]). Its zero value is ready. Events are
// encoded and checked when they are produced and kept in memory until just
// before COMMIT.
type Pending struct {
	mu     sync.Mutex
	encode encoder // nil outside of Transact
	events []eventmodels.ProducingEvent
	rows   []eventmodels.OutboxRow
	err    error // of the first event that is wrong
	taken  bool  // Transact has the rows: it stores them, or rolls back
	late   func(error)
}

// encoder makes the outbox row of an event.
type encoder func(eventmodels.ProducingEvent) (eventmodels.OutboxRow, error)

// bound is a transaction type that embeds Pending.
type bound interface {
	// bind takes what makes the rows, and who is told of events that come
	// when it is too late.
	bind(encode encoder, late func(error))
	pendingRows() ([]eventmodels.OutboxRow, error)
}

// Produce adds events to the transaction. What is wrong with one of them is
// the result of Transact, which then rolls back. Call it before the function
// given to Transact has returned: nobody stores what comes later, from a
// goroutine that it has not waited for, say. That is an error in the log, and in
// [github.com/seed46dd6f11/events.ErrorCounts] of the category produce-late.
func (p *Pending) Produce(events ...eventmodels.ProducingEvent) {
	p.mu.Lock()
	encode := p.encode
	p.mu.Unlock()
	for _, event := range events {
		if encode == nil {
			p.add(event, eventmodels.OutboxRow{}, eventmodels.ErrNotConnected)
			continue
		}
		// Without the lock: an event's methods are the application's, which
		// may produce from them, too.
		row, err := encode(event)
		p.add(event, row, err)
	}
}

// add adds an event, and its row or what is wrong with it.
func (p *Pending) add(event eventmodels.ProducingEvent, row eventmodels.OutboxRow, err error) {
	if err != nil {
		err = produceError(event, err)
	}
	p.mu.Lock()
	taken, late := p.taken, p.late
	p.events = append(p.events, event)
	switch {
	case taken:
	case err == nil:
		p.rows = append(p.rows, row)
	case p.err == nil:
		p.err = err
	}
	p.mu.Unlock()
	if taken && late != nil {
		late(cmp.Or(err, produceError(event, errLate)))
	}
}

// errLate is the error of events that come when Transact has those before.
var errLate = errors.New("the function given to Transact has returned, and the event is not sent; wait in it for all that produces")

// GetPendingEvents returns the events produced so far.
func (p *Pending) GetPendingEvents() []eventmodels.ProducingEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]eventmodels.ProducingEvent(nil), p.events...)
}

// Unstored returns [eventmodels.ErrTransactionEnded] if events were produced
// that a COMMIT would lose: only Transact stores them, just before its own, and
// not for a transaction that the application has begun with BeginTx, or
// commits inside of Transact. Commit of the transaction types of this module's
// packages asks, and then rolls back; that of a type of the application's own
// should, too. It may be called at any time.
func (p *Pending) Unstored() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken || len(p.events) == 0 {
		return nil
	}
	return fmt.Errorf("COMMIT of a transaction with %d events: %w", len(p.events), eventmodels.ErrTransactionEnded)
}

func produceError(event eventmodels.ProducingEvent, err error) error {
	if isNil(event) {
		return fmt.Errorf("tx.Produce of a nil event: %w", err)
	}
	if _, ok := errors.AsType[*eventmodels.InvalidEventError](err); ok { // it names the topic
		return fmt.Errorf("tx.Produce: %w", err)
	}
	return fmt.Errorf("tx.Produce of an event for topic %q: %w", event.GetTopic(), err)
}

// isNil also finds a nil pointer, whose methods would panic.
func isNil(event eventmodels.ProducingEvent) bool {
	if event == nil {
		return true
	}
	v := reflect.ValueOf(event)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func (p *Pending) bind(encode encoder, late func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.encode, p.late = encode, late
}

func (p *Pending) pendingRows() ([]eventmodels.OutboxRow, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = true
	return p.rows, p.err
}
