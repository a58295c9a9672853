package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

var (
	errFlaky  = errors.New("this order succeeds at its third attempt")
	errPoison = eventmodels.SetErrorHandling(errors.New("this order fails for good"), eventmodels.DoNotRetry)
	errLate   = eventmodels.SetErrorHandling(errors.New("this order succeeds as a letter"), eventmodels.DoNotRetry)
)

// register registers all handlers.
func (s *service[ID, TX, DB]) register() {
	retry := events.WithBackoff(50*time.Millisecond, time.Second)
	orders := eventmodels.BindTopicTx[Order, ID, TX, DB](Orders)
	invoices := eventmodels.BindTopicTx[Order, ID, TX, DB](Invoices)
	s.lib.ConsumeExactlyOnce(events.NewConsumerGroup(Ledger), eventmodels.OnFailureSave, Ledger,
		orders.HandlerTx(func(ctx context.Context, tx TX, e eventmodels.Event[Order]) error {
			if err := s.begin(e); err != nil {
				return err
			}
			if err := s.effect(ctx, tx, e.Payload, Ledger); err != nil {
				return err
			}
			invoice := e.Payload
			invoice.Pad = ""
			tx.Produce(invoices.Event(e.Key, invoice))
			s.handled(e)
			return nil
		}), events.WithOrdering(events.ByKey), retry)
	s.lib.ConsumeExactlyOnce(events.NewConsumerGroup(Payments), eventmodels.OnFailureSave, Payments,
		invoices.BatchHandlerTx(func(ctx context.Context, tx TX, batch []eventmodels.Event[Order]) error {
			for _, e := range batch {
				if err := s.begin(e); err != nil {
					return err
				}
				if err := s.effect(ctx, tx, e.Payload, Payments); err != nil {
					return err
				}
			}
			for _, e := range batch {
				s.handled(e)
			}
			return nil
		}), events.WithBatch(20), retry)
	for _, h := range []struct {
		name, topic string
		onFailure   eventmodels.OnFailure
		opts        []events.HandlerOpt
	}{
		{Audit, Orders, eventmodels.OnFailureSave, []events.HandlerOpt{events.WithOrdering(events.ByKey), retry}},
		{Mail, Orders, eventmodels.OnFailureRetryLater, []events.HandlerOpt{retry}},
		{Survey, Growing, eventmodels.OnFailureSave, []events.HandlerOpt{retry}},
		{Digest, Brief, eventmodels.OnFailureSave, []events.HandlerOpt{retry}},
	} {
		s.lib.ConsumeIdempotent(events.NewConsumerGroup(h.name), h.onFailure, h.name,
			eventmodels.BindTopic[Order](h.topic).Handler(func(_ context.Context, e eventmodels.Event[Order]) error {
				if err := s.begin(e); err != nil {
					return err
				}
				s.handled(e)
				return nil
			}), h.opts...)
	}
	for _, topic := range []string{Orders, Growing, Brief} {
		s.lib.ConsumeBroadcast(Cache, eventmodels.BindTopic[Order](topic).Handler(func(_ context.Context, e eventmodels.Event[Order]) error {
			s.delivered(e)
			s.handled(e)
			return nil
		}))
	}
}

func (s *service[ID, TX, DB]) delivered(e eventmodels.Event[Order]) {
	s.journal.Write(checker.Delivered{At: time.Now(), Instance: s.config.Name, Group: e.ConsumerGroup, Handler: e.HandlerName, Topic: e.BaseTopic,
		ID: e.Payload.ID.String(), Key: e.Key, Partition: e.Partition, Offset: e.Offset, Attempt: e.Attempt})
}

func (s *service[ID, TX, DB]) handled(e eventmodels.Event[Order]) {
	s.journal.Write(checker.Handled{At: time.Now(), Instance: s.config.Name, Group: e.ConsumerGroup, Handler: e.HandlerName, Topic: e.BaseTopic, ID: e.Payload.ID.String()})
}

// begin writes down that a handler has an event, lets it take a while, and
// returns the error that is the event's fate.
func (s *service[ID, TX, DB]) begin(e eventmodels.Event[Order]) error {
	s.delivered(e)
	time.Sleep(rand.N(3 * time.Millisecond))
	switch {
	case e.Payload.Fate == Flaky && e.Attempt < 3:
		return errFlaky
	case e.Payload.Fate == Poison && (e.HandlerName == Ledger || e.HandlerName == Audit):
		return errPoison
	case e.Payload.Fate == Late && e.HandlerName == Mail && e.Attempt == 1:
		return errLate
	}
	return nil
}

// effect is what an exactly-once handler does.
func (s *service[ID, TX, DB]) effect(ctx context.Context, tx TX, order Order, handler string) error {
	_, err := tx.ExecContext(ctx, s.backend.sql(`INSERT INTO campaign_effects (id, handler, process) VALUES (?, ?, ?)`), order.ID.String(), handler, s.config.Name)
	return err
}
