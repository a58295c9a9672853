package eventtest

import (
	"context"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

var orders = eventmodels.BindTopic[order]("orders")

func (s *suite[ID, TX, DB]) producing(t *testing.T) {
	t.Run("Immediate", s.produceImmediate)
}

// An event that is produced immediately arrives as it was.
func (s *suite[ID, TX, DB]) produceImmediate(t *testing.T) {
	w := s.world(t)
	got := newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureDiscard, "h", orders.Handler(got.handle))
	})
	if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("k", order{ID: "1", N: 7})); err != nil {
		t.Fatal(err)
	}
	e := got.wait(t, 1)[0]
	if e.Payload != (order{ID: "1", N: 7}) || e.Key != "k" || e.Topic != "orders" || e.HandlerName != "h" || e.ConsumerGroup != "g" || e.ID == "" || e.Attempt != 1 {
		t.Errorf("got %+v", e)
	}
}
