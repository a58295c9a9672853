package events_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// The events of one call have one time, which is that of the call, but for
// those that bring one.
func TestEventsOfACallHaveOneTime(t *testing.T) {
	broker, err := eventembed.Start(eventembed.Topics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	lib := eventnodb.New()
	lib.SkipNotifierSupport()
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	t.Cleanup(func() {
		if err := lib.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const calls, perCall = 2, 100
	own := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	var began, ended [calls]time.Time
	for call := range calls {
		evs := make([]eventmodels.ProducingEvent, perCall)
		for i := range evs {
			event := eventmodels.BindTopic[int]("t").Event(fmt.Sprint(i), i)
			if i == perCall/2 {
				event = event.Time(own)
			}
			evs[i] = event
		}
		began[call] = time.Now()
		if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, evs...); err != nil {
			t.Fatal(err)
		}
		ended[call] = time.Now()
	}

	records, err := broker.Records("t")
	if err != nil || len(records) != calls*perCall {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for call := range calls {
		var common time.Time
		for i, r := range records[call*perCall:][:perCall] {
			var text string
			for _, h := range r.Headers {
				if h.Key == "ce_time" {
					text = string(h.Value)
				}
			}
			at, err := time.Parse(time.RFC3339Nano, text)
			switch {
			case err != nil:
				t.Fatal(err)
			case i == 0:
				common = at
			case i == perCall/2:
				if !at.Equal(own) {
					t.Errorf("an event of %v has the time %v", own, at)
				}
				at = common // the record's is that of the call
			}
			if !at.Equal(common) || at.Before(began[call]) || at.After(ended[call]) || !r.Timestamp.Equal(common.Truncate(time.Millisecond)) {
				t.Errorf("event %d of call %d: %v, its record %v; the first has %v; called between %v and %v", i, call, at, r.Timestamp, common, began[call], ended[call])
			}
		}
	}
}
