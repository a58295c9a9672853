package events_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// Packages that register their handlers at the same time, while main sets the
// prefix, do not disturb each other: the race detector would tell.
func TestRegistrationAtTheSameTime(t *testing.T) {
	lib := eventnodb.New()
	var all sync.WaitGroup
	for _, register := range []func(){
		func() { lib.SetPrefix("p.") },
		func() { lib.SetTopicConfig(kafka.TopicConfig{Topic: "orders"}) },
		func() {
			lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", shipments.Handler(
				func(context.Context, eventmodels.Event[shipment]) error { return nil }))
		},
		func() {
			if err := lib.ValidateTopics(context.Background(), []string{"orders"}); err != nil {
				t.Error(err)
			}
		},
		func() { lib.Mark(events.NewConsumerGroup("g"), "h", "orders", "source", "id") },
	} {
		all.Go(register)
	}
	all.Wait()
}

// Each topic that is wrong is named.
func TestValidateTopics(t *testing.T) {
	err := eventnodb.New().ValidateTopics(t.Context(), []string{"a/b", "fine", "c d"})
	var wrong *events.TopicNameError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), `"a/b"`) || !strings.Contains(err.Error(), `"c d"`) || strings.Contains(err.Error(), "fine") {
		t.Errorf("%v", err)
	}
}
