package eventdb

import (
	"errors"
	"slices"
	"strings"
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
	p.bind(func(event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
		e := event.(*nested)
		if e.then != nil {
			e.in.Produce(e.then)
		}
		return eventmodels.OutboxRow{Topic: e.topic}, nil
	}, nil)
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

// Nobody stores what comes when Transact has the rows, and nobody returns it as an
// error: it is told of.
func TestLateEventsAreToldOf(t *testing.T) {
	var p Pending
	var told []error
	wrong := errors.New("wrong")
	p.bind(func(event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
		if event.GetTopic() == "wrong" {
			return eventmodels.OutboxRow{}, wrong
		}
		return eventmodels.OutboxRow{Topic: event.GetTopic()}, nil
	}, func(err error) { told = append(told, err) })
	p.Produce(&nested{topic: "in time"})
	if len(told) > 0 {
		t.Fatalf("told of %v", told)
	}
	rows, err := p.pendingRows()
	p.Produce(&nested{topic: "late"}, &nested{topic: "wrong"})
	if len(rows) != 1 || err != nil {
		t.Errorf("rows %v, error %v", rows, err)
	}
	if len(told) != 2 || !errors.Is(told[0], errLate) || !strings.Contains(told[0].Error(), `"late"`) || !errors.Is(told[1], wrong) {
		t.Errorf("told of %v", told)
	}
	if rows, err := p.pendingRows(); len(rows) != 1 || err != nil {
		t.Errorf("rows %v, error %v; they were taken before", rows, err)
	}
}

// The first event that is wrong is the one that is told of, and the others are
// encoded all the same.
func TestFirstWrongEventIsTold(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	var p Pending
	p.bind(func(event eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
		switch topic := event.GetTopic(); topic {
		case "first":
			return eventmodels.OutboxRow{}, first
		case "second":
			return eventmodels.OutboxRow{}, second
		default:
			return eventmodels.OutboxRow{Topic: topic}, nil
		}
	}, nil)
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
