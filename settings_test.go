package events_test

import (
	"context"
	"errors"
	"fmt"
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

// What Configure acts on is not set behind it, where it would change nothing.
func TestSettersOfConfigure(t *testing.T) {
	for name, set := range map[string]func(*eventnodb.Library){
		"SkipNotifierSupport": func(l *eventnodb.Library) { l.SkipNotifierSupport() },
		"SetEnhanceDB":        func(l *eventnodb.Library) { l.SetEnhanceDB(false) },
	} {
		lib := eventnodb.New()
		set(lib)
		lib.ConfigureNoDB(nil, false, nil, nil, []string{"127.0.0.1:1"})
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, name+" was called after Configure") {
					t.Errorf("%s: %s", name, text)
				}
			}()
			set(lib)
		}()
	}
}
