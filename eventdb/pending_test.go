package eventdb

import (
	"errors"
	"slices"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// nested is an event that produces another one when it is encoded.
type nested struct {
	eventmodels.ProducingEvent
	topic string
	in    *Pending
	then  *nested
}

func (e *nested) GetTopic() string { return e.topic }

// An event's methods may use the transaction, and what one of them produces is
// in it, before the event itself.
func TestEventThatProducesIsEncoded(t *testing.T) {
	var p Pending
	p.bindEncoder(func(event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
		e := event.(*nested)
		if e.then != nil {
			e.in.Produce(e.then)
		}
		return eventmodels.OutboxRow{Topic: e.topic}, nil
	})
	p.Produce(&nested{topic: "a"}, &nested{topic: "b", in: &p, then: &nested{topic: "of b"}}, &nested{topic: "c"})
	rows, err := p.pendingRows()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row.Topic)
	}
	if want := []string{"a", "of b", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("rows: %v, want %v", got, want)
	}
	if n := len(p.GetPendingEvents()); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}

// A COMMIT that would lose events is told from one that would not.
func TestUnstored(t *testing.T) {
	var p Pending
	if err := p.Unstored(); err != nil {
		t.Errorf("without events: %v", err)
	}
	p.Produce(&nested{topic: "a"}) // nobody has bound it: the transaction is not Transact's
	if err := p.Unstored(); !errors.Is(err, eventmodels.ErrTransactionEnded) {
		t.Errorf("with an event: %v", err)
	}
	_, _ = p.pendingRows()
	if err := p.Unstored(); err != nil {
		t.Errorf("when Transact commits: %v", err)
	}
}

// The first event that is wrong is the one that is told of, and the others are
// encoded all the same.
func TestFirstWrongEventIsTold(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	var p Pending
	p.bindEncoder(func(event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
		switch topic := event.GetTopic(); topic {
		case "first":
			return eventmodels.OutboxRow{}, first
		case "second":
			return eventmodels.OutboxRow{}, second
		default:
			return eventmodels.OutboxRow{Topic: topic}, nil
		}
	})
	p.Produce(&nested{topic: "a"}, &nested{topic: "first"}, &nested{topic: "second"})
	p.Produce(&nested{topic: "second"}, &nested{topic: "b"})
	rows, err := p.pendingRows()
	if !errors.Is(err, first) || errors.Is(err, second) {
		t.Errorf("error: %v", err)
	}
	if len(rows) != 2 {
		t.Errorf("%d rows, want 2", len(rows))
	}
	var unbound Pending
	unbound.Produce(&nested{topic: "a"})
	if _, err := unbound.pendingRows(); !errors.Is(err, eventmodels.ErrNotConnected) {
		t.Errorf("error: %v", err)
	}
}
