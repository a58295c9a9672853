package eventmodels_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

type orderPlaced struct{ Cents int }

// An event is a value: what sets something returns a changed copy.
func ExampleSimpleEvent() {
	placed := eventmodels.BindTopic[orderPlaced]("orders.placed")
	base := placed.Event("order-1", orderPlaced{Cents: 1999}).
		Source("/shop").
		Type("org.example.order.placed").
		SpecVersion("1.0").
		DataSchema("https://example.org/schemas/order-placed/2")
	event := base.
		ID("placed/order-1").
		Subject("order-1").
		Time(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)).
		WithHeader("tenant", "acme")

	fmt.Println(event.GetTopic(), event.GetKey(), event.GetTimestamp().Format(time.DateOnly))
	fmt.Println(event.Attributes().ID, event.Header()["tenant"], base.Header()["tenant"])
	// Output:
	// orders.placed order-1 2026-11-21
	// placed/order-1 [acme] []
}

// What a handler's error says of the next attempt.
func ExampleSetErrorHandling() {
	err := errors.New("no such customer")
	hopeless := eventmodels.SetErrorHandling(err, eventmodels.DoNotRetry) // the handler's OnFailure, at once
	harmless := eventmodels.SetErrorHandling(err, eventmodels.IgnoreError)
	limited := eventmodels.RetryAfter(errors.New("429 Too Many Requests"), time.Minute)

	fmt.Println(eventmodels.GetErrorHandling(hopeless), eventmodels.GetErrorHandling(harmless), eventmodels.GetErrorHandling(err))
	pause, _ := eventmodels.GetRetryAfter(limited)
	fmt.Println(pause)
	// Output:
	// DoNotRetry IgnoreError RetryUntilTimeout
	// 1m0s
}

// For code that wraps batch handlers: what the error of one means for each
// event.
func ExampleSplitBatchError() {
	var failed eventmodels.BatchError
	failed.Fail(1, errors.New("no such customer"))
	events, all := eventmodels.SplitBatchError(failed.Err(), 3)
	fmt.Println(events, all)
	// Output: map[1:no such customer] <nil>
}

// xmlCodec is for topics whose events are XML.
type xmlCodec struct{}

func (xmlCodec) Encode(payload any) ([]byte, error)    { return xml.Marshal(payload) }
func (xmlCodec) Decode(data []byte, payload any) error { return xml.Unmarshal(data, payload) }

// In a service this stands in init(): every event with the content type is
// decoded with it.
func ExampleRegisterCodec() {
	eventmodels.RegisterCodec("application/xml", xmlCodec{})
}
