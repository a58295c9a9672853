package eventtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

var (
	save  = eventmodels.OnFailureSave
	later = eventmodels.OnFailureRetryLater
	// givenUp is an error that goes to the verdict at once.
	givenUp = eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)
)

const orderLetters = "orders.g.dead-letter"

func (s *suite[ID, TX, DB]) letters(t *testing.T) {
	t.Run("Failures", s.letterFailures)
	t.Run("Saved", s.letterSaved)
	t.Run("Retried", s.letterRetried)
	t.Run("AtTheLimit", s.letterAtTheLimit)
	t.Run("Replay", s.letterReplay)
	t.Run("Operations", s.letterOperations)
	t.Run("Waiting", s.lettersWaiting)
	t.Run("RollingDeploy", s.letterOfNewHandler)
	t.Run("Rebalance", s.letterRebalance)
	t.Run("WrittenTwice", s.letterWrittenTwice)
	t.Run("Shutdown", s.letterAtShutdown)
	t.Run("Handler", s.letterHandler)
	if s.h.NewDatabase != nil {
		t.Run("ExactlyOnce", s.letterExactlyOnce)
	}
	if s.h.Broker != nil {
		t.Run("NotWritten", s.letterNotWritten)
	}
}

// letterRecord is a record of a dead-letter topic.
type letterRecord struct {
	*kgo.Record
	letters.Header
	own []kgo.RecordHeader
}

// letters are the records of a dead-letter topic, in the order of each
// partition.
func (c *cluster) letters(topic string) (all []letterRecord) {
	c.t.Helper()
	for _, r := range c.records(topic) {
		h, own, err := letters.Parse(r.Headers)
		c.must("read a letter", err)
		all = append(all, letterRecord{r, h, own})
	}
	return all
}

// stateOf folds the records of the letter of a handler and a key.
func stateOf(all []letterRecord, handler, key string) (state letters.State, newest letterRecord, history string) {
	var fold letters.Fold
	byOffset := make(map[int64]letterRecord)
	for _, r := range all {
		if r.Handler == handler && string(r.Key) == key {
			fold.Add(r.Entry(r.Offset))
			byOffset[r.Offset] = r
			history += r.Kind.String() + " "
		}
	}
	state, entry := fold.State()
	return state, byOffset[entry.Offset], history
}

// awaitState waits until a letter is in a state, and returns its newest record
// with effect and the kinds of its records.
func (c *cluster) awaitState(handler, key string, want letters.State) (newest letterRecord, history string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("the letter of %s for %s to be %v", key, handler, want), func() bool {
		var state letters.State
		state, newest, history = stateOf(c.letters(orderLetters), handler, key)
		return state == want
	})
	return newest, history
}

// operate writes what a person does with a letter.
func (c *cluster) operate(kind letters.Kind, on letterRecord) letterRecord {
	c.t.Helper()
	h := letters.Header{Kind: kind, ID: on.ID, Group: on.Group, Handler: on.Handler, Topic: on.Header.Topic, Follows: on.Offset, By: "test"}
	event := &kgo.Record{Key: on.Key}
	if kind == letters.Replay {
		event = on.Record
		h.Replay, h.Attempts, h.First, h.Origin, h.Time = fmt.Sprint("replay-", on.Offset), on.Attempts, on.First, on.Origin, on.EventTime(on.Record)
	}
	r := h.Record(kafka.TopicPartition{Topic: kafka.WireTopic(c.prefix + orderLetters), Partition: on.Partition}, event)
	ctx, cancel := within()
	defer cancel()
	c.must("write an operation", c.kgo.ProduceSync(ctx, r).FirstErr())
	return letterRecord{r, h, nil}
}

// soon lets letters wait no longer than tests do.
const soon = 20 * time.Millisecond

// lettered registers handlers of orders in the group g whose letters are tried
// again soon.
func lettered[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](
	onFailure eventmodels.OnFailure, handlers map[string]func(context.Context, eventmodels.Event[order]) error, opts ...events.HandlerOpt,
) func(*events.Library[ID, TX, DB]) {
	return func(lib *events.Library[ID, TX, DB]) {
		lib.SetDeadLetterBackoff(soon, 4*soon)
		for name, handle := range handlers {
			lib.ConsumeIdempotent(group, onFailure, name, orders.Handler(handle), append(opts, quickly)...)
		}
	}
}

// one is a handler named h.
func one(handle func(context.Context, eventmodels.Event[order]) error) map[string]func(context.Context, eventmodels.Event[order]) error {
	return map[string]func(context.Context, eventmodels.Event[order]) error{"h": handle}
}

// failing is a handler that fails for good with some orders, and notes all
// calls.
func failing(calls *seen[order], bad func(n int) bool) func(context.Context, eventmodels.Event[order]) error {
	return func(_ context.Context, e eventmodels.Event[order]) error {
		calls.add(e)
		if bad(e.Payload.N) {
			return givenUp
		}
		return nil
	}
}

func always(int) bool { return true }
