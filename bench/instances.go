package main

import (
	"context"
	"fmt"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// growthRate is how many events a second all instances get.
const growthRate = 20

// growthInstances measures what more broadcast instances cost.
func (b bench) growthInstances() compare.Measurement {
	return compare.Measurement{
		Name:   "growth/broadcast",
		Title:  fmt.Sprintf("from Kafka to the broadcast handlers of all instances, at %d events/s", growthRate),
		Unit:   "deliveries",
		Axis:   "instances",
		Rounds: growthRounds,
		Notes: []string{
			fmt.Sprintf("All instances are Libraries in one process, %d of which start at a time; a delivery is an event that has reached one of them.", starting),
			"The broker sees what it would see of as many processes: each instance has connections and readers of its own. Two CPUs serve all of them.",
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			s, err := b.openBroadcasting(ctx, c)
			if err != nil {
				return nil, err
			}
			var contenders []compare.Contender
			for _, n := range b.size.instances {
				contenders = append(contenders, compare.Contender{
					Name: fmt.Sprintf("%s, instances: %d", ours, n), Series: ours, Size: float64(n),
					Run: s.deliveries(s.instance, n, growthRate, b.size.delivered),
				})
			}
			return contenders, nil
		},
	}
}
