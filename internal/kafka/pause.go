package kafka

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/seed46dd6f11/events/internal/backoff"
)

// retrySchedule is the wait between attempts at anything that talks to a
// broker. It is short, since what a broker's restart needs is that it is found
// soon, and the attempts of one client cost the others little.
var retrySchedule = backoff.Schedule{Min: 100 * time.Millisecond, Max: 2 * time.Second, Jitter: 0.2}

func retryDelay(attempt int) time.Duration {
	return retrySchedule.Delay(attempt, rand.Float64())
}

// pause waits between attempts, longer each time. The zero value is ready.
type pause struct{ attempt int }

// next waits. It returns early when ctx ends.
func (p *pause) next(ctx context.Context) {
	p.attempt++
	timer := time.NewTimer(retryDelay(p.attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
