package events

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// HeartbeatEvent is what a Library with broadcast handlers sends to all others,
// and to itself, to know that broadcasts arrive.
type HeartbeatEvent struct{}

var heartbeats = eventmodels.BindTopic[HeartbeatEvent]("broadcast-heartbeat")

// heartbeatName is the handler's: none that an application can give, and pause.
const heartbeatName = "(heartbeat)"

const defaultHeartbeat = 10 * time.Second

// heartbeat is the state of a Library's heartbeat.
type heartbeat struct {
	mu sync.Mutex
	// last is when one arrived, or when consuming started, by this process's
	// clock; guarded by mu.
	last time.Time
}

func (b *heartbeat) arrived() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = time.Now()
}

// ConfigureBroadcastHeartbeat sets how often a heartbeat is sent to all
// broadcast consumers, 10 s by default; each pause is up to a quarter shorter.
// It panics unless d is positive.
func (l *Library[ID, TX, DB]) ConfigureBroadcastHeartbeat(d time.Duration) {
	if d <= 0 {
		panic(fmt.Sprintf("events: ConfigureBroadcastHeartbeat(%v): the interval must be positive", d))
	}
	l.edit("ConfigureBroadcastHeartbeat", func(s *settings) { s.heartbeat = d })
}

// BroadcastConsumerLastLatency returns how long ago the last heartbeat arrived
// here, and how often they are sent. Broadcasts flow as long as the first is
// not much more than the second. Both are by this process's clock: those of
// the brokers and of other processes do not matter. Until the first heartbeat
// has arrived lastGap is the time since consuming started, and before that 0.
func (l *Library[ID, TX, DB]) BroadcastConsumerLastLatency() (lastGap, configuredHeartbeat time.Duration) {
	l.mu.Lock()
	configured := l.settings.heartbeat
	l.mu.Unlock()
	l.beat.mu.Lock()
	defer l.beat.mu.Unlock()
	if l.beat.last.IsZero() {
		return 0, configured
	}
	return time.Since(l.beat.last), configured
}

// heartbeatHandler is added to the broadcast handlers of a Library that has
// any.
func (l *LibraryNoDB) heartbeatHandler() *registeredHandler {
	handler := heartbeats.Handler(func(context.Context, eventmodels.Event[HeartbeatEvent]) error {
		l.beat.arrived()
		return nil
	})
	return &registeredHandler{
		kind: kindBroadcast, onFailure: eventmodels.OnFailureDiscard, name: heartbeatName, topic: heartbeats.Topic(),
		bind: func() runFunc { return runPlain(handler) },
	}
}

// sendHeartbeats sends them until ctx ends.
func (l *LibraryNoDB) sendHeartbeats(ctx context.Context, client *kafka.Client) {
	for ctx.Err() == nil {
		interval := l.settings.heartbeat
		limited, cancel := context.WithTimeout(ctx, interval)
		err := client.Produce(limited, []eventmodels.OutboxRow{{Topic: string(l.wireTopic(heartbeats.Topic())), Payload: []byte("{}"), CreatedAt: time.Now()}})
		cancel()
		if err != nil && ctx.Err() == nil {
			ErrorCounts.WithLabelValues("broadcast-heartbeat").Inc()
			l.logger().Debug("a broadcast heartbeat was not sent; the next one is tried in time", "error", err)
		}
		pause := time.NewTimer(interval - time.Duration(rand.Int64N(int64(interval)/4+1)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}
