package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// From the failing handler to its letters and back: they are listed and summed
// up, a replay fails as long as the handler does, succeeds when it is mended,
// and a letter that waits for its next try is not tried when it was discarded.
func TestDeadLettersOfAService(t *testing.T) {
	for name, brokers := range map[string]func(*testing.T) []string{
		"embedded": func(t *testing.T) []string { return embedded(t).Addrs() },
		"kafka":    kafkaBrokers,
	} {
		t.Run(name, func(t *testing.T) {
			testDeadLettersOfAService(t, brokers(t))
		})
	}
}

func testDeadLettersOfAService(t *testing.T, brokers []string) {
	topic := eventmodels.BindTopic[int]("numbers")
	group := events.NewConsumerGroup("service")
	var mended atomic.Bool
	var retried atomic.Int32
	lib := eventnodb.New()
	lib.SetPrefix("desk-" + uuid.NewString()[:8] + ".")
	lib.SetDeadLetterBackoff(time.Second, time.Second)
	lib.ConsumeIdempotent(group, eventmodels.OnFailureSave, "saves", topic.Handler(func(_ context.Context, e eventmodels.Event[int]) error {
		if mended.Load() {
			return nil
		}
		return eventmodels.SetErrorHandling(fmt.Errorf("number %d is not known", e.Payload), eventmodels.DoNotRetry)
	}))
	lib.ConsumeIdempotent(group, eventmodels.OnFailureRetryLater, "retries", topic.Handler(func(_ context.Context, e eventmodels.Event[int]) error {
		retried.Add(1)
		if mended.Load() {
			return nil
		}
		return eventmodels.SetErrorHandling(errors.New("it is away"), eventmodels.DoNotRetry)
	}))
	lib.ConfigureNoDB(nil, false, nil, nil, brokers)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := lib.StartConsumingOrPanic(ctx)
	t.Cleanup(func() {
		cancel()
		<-stopped
		if err := lib.Shutdown(within(t)); err != nil {
			t.Error(err)
		}
	})
	const n = 6
	for i := range n {
		if err := lib.Produce(within(t), eventmodels.ProduceImmediate, topic.Event("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	letters := lib.DeadLetters(group)
	list := func(filter events.LetterFilter) (all []events.Letter) {
		for l, err := range letters.List(within(t), filter) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	saved := events.LetterFilter{Handler: "saves"}
	await(t, "all letters", func() bool { return len(list(saved)) == n && len(list(events.LetterFilter{Handler: "retries"})) == n })
	causes, err := letters.Causes(within(t), saved)
	if err != nil || len(causes) != 1 || causes[0].Count != n || causes[0].Cause == "" || !strings.Contains(causes[0].Example.Error, "is not known") {
		t.Fatalf("%v: %+v", err, causes)
	}

	// Discarded while it waits: it is not tried again, also when it would
	// succeed; the others are.
	if err := letters.Discard(within(t), events.LetterAction{By: "ann"}, list(events.LetterFilter{Handler: "retries"})...); err != nil {
		t.Fatal(err) // a retry that fails meanwhile is no conflict
	}
	if got := list(events.LetterFilter{Handler: "retries", States: []events.LetterState{events.LetterDiscarded}}); len(got) != n {
		t.Errorf("%d are discarded", len(got))
	}

	first := list(saved)[n-1]
	replay, err := letters.Replay(within(t), events.LetterAction{By: "ann"}, first)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := replay.Wait(within(t))
	if err != nil || len(outcomes) != 1 || outcomes[0].Result != events.ReplayFailed || !strings.Contains(outcomes[0].Error, "is not known") {
		t.Fatalf("%v: %+v", err, outcomes)
	}
	mended.Store(true)
	result, err := letters.Bulk(within(t), events.LetterBulk{Op: events.ReplayLetters, Letters: letters.List(within(t), saved)})
	if err != nil || result.Done != n {
		t.Fatalf("%v: %+v", err, result)
	}
	outcomes, err = result.Replay.Wait(within(t))
	if err != nil || len(outcomes) != n {
		t.Fatalf("%v: %+v", err, outcomes)
	}
	for _, o := range outcomes {
		if o.Result != events.ReplayDone {
			t.Errorf("%+v", o)
		}
	}
	if left := list(events.LetterFilter{Handler: "saves", States: events.OpenLetters}); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	history, err := letters.Show(within(t), first.ID)
	if err != nil || history.State != events.LetterDone || len(history.Records) != 5 || !strings.Contains(first.Error, "number "+string(history.Payload)+" ") || string(history.Key) != "k" {
		t.Errorf("%v: %+v", err, history)
	}
	// The discarded ones were due long ago in the time that this has taken, or
	// are by now: a letter of later is tried, they are not.
	mended.Store(false)
	before := retried.Load()
	if err := lib.Produce(within(t), eventmodels.ProduceImmediate, topic.Event("k", n)); err != nil {
		t.Fatal(err)
	}
	await(t, "the retry of a later one", func() bool { return retried.Load() >= before+2 })
	if got := list(events.LetterFilter{Handler: "retries", States: []events.LetterState{events.LetterDiscarded}}); len(got) != n {
		t.Errorf("%d are discarded in the end", len(got))
	}
	mended.Store(true)
	await(t, "the later one is done", func() bool {
		return len(list(events.LetterFilter{Handler: "retries", States: []events.LetterState{events.LetterDone}})) == 1
	})
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := within(t)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("waited in vain: " + what)
		}
	}
}
