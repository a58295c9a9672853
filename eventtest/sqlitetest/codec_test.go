package sqlitetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/eventtest/sqlitetest"
)

const asked = "application/x-asked"

// askingCodec is JSON, but for its first answers.
type askingCodec struct{ left atomic.Int32 }

func (*askingCodec) Encode(payload any) ([]byte, error) { return json.Marshal(payload) }

func (c *askingCodec) Decode(data []byte, payload any) error {
	if c.left.Add(-1) >= 0 {
		return eventmodels.SetErrorHandling(errors.New("the schema registry does not answer"), eventmodels.RetryUntilTimeout)
	}
	return json.Unmarshal(data, payload)
}

// askedOrder is an order in the codec's content type.
type askedOrder struct{ eventmodels.SimpleEvent }

func (askedOrder) Marshal() ([]byte, string, error) { return []byte(`{"Cents": 7}`), asked, nil }

// An event that cannot be decoded for a moment costs no event: the codec says
// so, and it is tried again.
func TestCodecThatAsks(t *testing.T) {
	codec := new(askingCodec)
	codec.left.Store(3)
	eventmodels.RegisterCodec(asked, codec)
	cents := make(chan int, 10)
	lib := eventsqlite.NewLibrary()
	lib.ConsumeIdempotent(billing, eventmodels.OnFailureDiscard, "h", placed.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
		cents <- e.Payload.Cents
		return nil
	}), events.WithBackoff(time.Millisecond, time.Second))
	s, _ := sqlitetest.Start(t, lib)
	if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, askedOrder{placed.Event("a", order{})}); err != nil {
		t.Fatal(err)
	}
	s.WaitQuiet()
	if len(cents) != 1 || <-cents != 7 {
		t.Errorf("the handler was called %d times", len(cents))
	}
}
