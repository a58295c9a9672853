package main

import (
	"context"
	"fmt"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

// growthHandlers measures what more handlers of one topic cost.
func (b bench) growthHandlers() compare.Measurement {
	return compare.Measurement{
		Name:   "growth/handlers",
		Title:  fmt.Sprintf("events of %d bytes, each to several handlers of one group, which do nothing", consumedBytes),
		Unit:   "calls",
		Axis:   "handlers",
		Rounds: growthRounds,
		Notes:  []string{"Calls are events times handlers. The topic has fewer events where there are more handlers."},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			var contenders []compare.Contender
			for i, handlers := range b.size.sizes {
				topic, err := b.servers.Topic(ctx, c, "handlers", partitions)
				if err != nil {
					return nil, err
				}
				n := b.size.grown / []int{1, 4, 20}[i]
				if err := b.fillTopic(ctx, topic, contentTypeRaw, n); err != nil {
					return nil, err
				}
				contenders = append(contenders, compare.Contender{
					Name: fmt.Sprintf("%s, handlers: %d", ours, handlers), Series: ours, Size: float64(handlers),
					Run: func(ctx context.Context, t *compare.Trial) error {
						return b.handledBySeveral(ctx, t, topic, handlers, n)
					},
				})
			}
			return contenders, nil
		},
	}
}

func (b bench) handledBySeveral(ctx context.Context, t *compare.Trial, topic string, handlers, n int) error {
	count := newCounter(t, n*handlers)
	lib := b.newLibrary(&t.Cleanup, nil)
	group := events.NewConsumerGroup(b.servers.Group(&t.Cleanup, "handlers"))
	for i := range handlers {
		lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, fmt.Sprint("bench", i), eventpg.BindTopic[[]byte](topic).Handler(
			func(context.Context, eventmodels.Event[[]byte]) error { count.add(); return nil }))
	}
	return count.consume(ctx, lib)
}
