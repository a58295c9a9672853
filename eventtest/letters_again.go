package eventtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/letters"
)

// A letter is tried again until it succeeds; the handler gets the event as it
// was, its attempts are counted on, and the records say what has happened.
func (s *suite[ID, TX, DB]) letterRetried(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 2, nil)
	calls, other := newSeen[order](), newSeen[order]()
	w.consumer(lettered[ID, TX, DB](later, map[string]func(context.Context, eventmodels.Event[order]) error{
		"h": func(_ context.Context, e eventmodels.Event[order]) error {
			calls.add(e)
			if e.Attempt < 6 { // two for the event, one for each letter
				if e.Attempt == 1 {
					return eventmodels.RetryAfter(errTest, time.Millisecond)
				}
				return givenUp
			}
			return nil
		},
		"other": other.handle,
	}))
	kafka.send(kgo.Record{Topic: "orders", Partition: 1, Key: []byte("k"), Value: []byte(`{"n": 5}`),
		Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("id-1")}, {Key: "ce_source", Value: []byte("test")}, {Key: "x", Value: []byte("y")}}})
	newest, history := kafka.awaitState("h", "k", letters.Finished)
	if history != "letter letter letter letter done " || newest.Attempts != 6 || newest.Took <= 0 || newest.Value != nil {
		t.Errorf("history %s; %+v", history, newest.Header)
	}
	kafka.awaitNoLag("g", "orders", orderLetters)
	all := kafka.letters(orderLetters)
	for i, l := range all {
		if i > 0 && l.Follows != all[i-1].Offset || l.Partition != all[0].Partition || l.Kind == letters.Letter && l.Attempts != i+2 ||
			!all[0].First.Equal(l.First) && l.Kind == letters.Letter {
			t.Errorf("record %d follows %d: %+v", l.Offset, l.Follows, l.Header)
		}
	}
	got := calls.all()
	for i, e := range got {
		want := got[0]
		want.Attempt = i + 1
		if fmt.Sprintf("%+v", e) != fmt.Sprintf("%+v", want) {
			t.Errorf("attempt %d got\n%+v, the first\n%+v", i+1, e, got[0])
		}
	}
	if len(got) != 6 || len(other.all()) != 1 {
		t.Errorf("%d calls, %d of the other handler", len(got), len(other.all()))
	}
}

// A replay reaches the handler that has failed, once, oldest first, with key,
// id and headers; ten that fail again do not stop the eleventh.
func (s *suite[ID, TX, DB]) letterReplay(t *testing.T) {
	const all = 11
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	var well atomic.Bool
	calls, other := newSeen[order](), newSeen[order]()
	w.consumer(lettered[ID, TX, DB](save, map[string]func(context.Context, eventmodels.Event[order]) error{
		"h":     failing(calls, func(n int) bool { return n < all-1 || !well.Load() }),
		"other": failing(other, func(n int) bool { return n == 3 }),
	}, events.WithConcurrency(1)))
	for n := range all {
		r := plain("orders", fmt.Sprint("key-", n), 0, n)
		r.Headers = []kgo.RecordHeader{{Key: "ce_id", Value: fmt.Append(nil, "id-", n)}, {Key: "ce_source", Value: []byte("test")}, {Key: "x", Value: []byte("y")}}
		kafka.send(r)
	}
	kafka.awaitNoLag("g", "orders", orderLetters)
	before, beforeOther := len(calls.all()), len(other.all())
	well.Store(true)
	for n := range all {
		_, newest, _ := stateOf(kafka.letters(orderLetters), "h", fmt.Sprint("key-", n))
		if twice := kafka.operate(letters.Replay, newest); n == all-1 {
			kafka.operate(letters.Replay, newest) // at the same time
			kafka.operate(letters.Replay, twice)  // who knows of the first, and wants another one
		}
	}
	newest, _ := kafka.awaitState("h", fmt.Sprint("key-", all-1), letters.Finished)
	kafka.awaitNoLag("g", orderLetters)
	state, _, history := stateOf(kafka.letters(orderLetters), "h", fmt.Sprint("key-", all-1))
	if strings.Count(history, "replay") != 3 || strings.Count(history, "done") != 1 || newest.Replay == "" || state != letters.Finished {
		t.Errorf("%v, history %s; %+v", state, history, newest.Header)
	}
	counts := make(map[int]int)
	var order []int
	for _, e := range calls.all()[before:] {
		counts[e.Payload.N]++
		if e.Payload.N < all-1 {
			order = append(order, e.Payload.N)
		}
		if e.ID != fmt.Sprint("id-", e.Payload.N) || e.Key != fmt.Sprint("key-", e.Payload.N) || fmt.Sprint(e.Headers) != "map[x:[y]]" || e.Topic != "orders" || e.Attempt != 2 {
			t.Errorf("the replay is %+v", e)
		}
	}
	for n := range all - 1 {
		state, newest, history := stateOf(kafka.letters(orderLetters), "h", fmt.Sprint("key-", n))
		if state != letters.Saved || history != "letter replay letter " || newest.Replay == "" || newest.Attempts != 2 || counts[n] != 1 {
			t.Errorf("order %d: %d calls, %v: %s; %+v", n, counts[n], state, history, newest.Header)
		}
	}
	if counts[all-1] != 1 {
		t.Errorf("of three replays at once %d were run", counts[all-1])
	}
	byPartition := make(map[int32][]int)
	for _, n := range order {
		_, newest, _ := stateOf(kafka.letters(orderLetters), "h", fmt.Sprint("key-", n))
		byPartition[newest.Partition] = append(byPartition[newest.Partition], n)
	}
	for p, ns := range byPartition {
		if !slices.IsSorted(ns) {
			t.Errorf("partition %d: replays in the order %v", p, ns)
		}
	}
	if n := len(other.all()); n != beforeOther {
		t.Errorf("%d replays reached the other handler", n-beforeOther)
	}
}

// A discard ends a letter that waits, and what it waits for; reopened it can be
// replayed.
func (s *suite[ID, TX, DB]) letterOperations(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	calls := newSeen[order]()
	var well atomic.Bool
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.SetDeadLetterBackoff(time.Hour, time.Hour)
		lib.ConsumeIdempotent(group, later, "h", orders.Handler(failing(calls, func(int) bool { return !well.Load() })))
	})
	c.produce(orders, 0, 1)
	kafka.awaitNoLag("g", "orders")
	waiting, _ := kafka.awaitState("h", "key-00", letters.Waiting)
	discarded := kafka.operate(letters.Discard, waiting)
	kafka.awaitNoLag("g", orderLetters) // the letter does not wait any more
	reopened := kafka.operate(letters.Reopen, discarded)
	late := kafka.operate(letters.Replay, waiting) // by somebody who did not know of the discard
	kafka.awaitNoLag("g", orderLetters)
	if n := len(calls.all()); n != 1 {
		t.Errorf("%d calls: a replay that was overtaken has run", n)
	}
	well.Store(true)
	kafka.operate(letters.Replay, reopened)
	newest, history := kafka.awaitState("h", "key-00", letters.Finished)
	if history != "letter discard reopen replay replay done " || newest.Follows == late.Offset || len(calls.all()) != 2 {
		t.Errorf("history %s, %d calls", history, len(calls.all()))
	}

	// A replay of a letter that waits does not wait, and leaves nothing behind.
	well.Store(false)
	c.produce(orders, 1, 2)
	waiting, _ = kafka.awaitState("h", "key-01", letters.Waiting)
	well.Store(true)
	kafka.operate(letters.Replay, waiting)
	kafka.awaitState("h", "key-01", letters.Finished)
	kafka.awaitNoLag("g", orderLetters)
}

// Letters that wait hold no slot: a handler that runs one event at a time goes
// on, with events and with letters whose time has come.
func (s *suite[ID, TX, DB]) lettersWaiting(t *testing.T) {
	const many = 40
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	calls := newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.SetMaxRunningHandlers(1)
		lib.SetDeadLetterBackoff(time.Hour, time.Hour)
		lib.ConsumeIdempotent(group, later, "h", orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
			calls.add(e)
			switch {
			case e.Payload.N < many:
				return givenUp
			case e.Attempt == 1:
				return eventmodels.RetryAfter(givenUp, soon)
			}
			return nil
		}), events.WithConcurrency(1))
	})
	c.produce(orders, 0, many)
	kafka.awaitNoLag("g", "orders")
	c.produce(orders, many, many+5)
	kafka.awaitNoLag("g", "orders")
	calls.wait(t, many+10)
	for n, count := range times(calls.all()) {
		want := 1
		if n >= many {
			want = 2
		}
		if count != want {
			t.Errorf("%d calls for order %d", count, n)
		}
	}
	if lag := kafka.lag("g", orderLetters); lag == 0 {
		t.Error("the group has committed letters that wait")
	}
}

// Letters of a handler that only newer instances know wait while older ones own
// them, replays too.
func (s *suite[ID, TX, DB]) letterOfNewHandler(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	kafka.create(orderLetters, 1, nil)
	var well atomic.Bool
	old, added := newSeen[order](), newSeen[order]()
	bad := func(int) bool { return !well.Load() }
	older := map[string]func(context.Context, eventmodels.Event[order]) error{"old": failing(old, bad)}
	newer := map[string]func(context.Context, eventmodels.Event[order]) error{"old": failing(old, bad), "new": failing(added, bad)}
	hour := func(handlers map[string]func(context.Context, eventmodels.Event[order]) error) func(*events.Library[ID, TX, DB]) {
		return func(lib *events.Library[ID, TX, DB]) {
			lettered[ID, TX, DB](later, handlers)(lib)
			lib.SetDeadLetterBackoff(2*time.Second, 2*time.Second) // so that the older instance is there before
		}
	}
	c := w.consumer(hour(newer))
	c.produce(orders, 0, 2)
	kafka.awaitState("new", "key-00", letters.Waiting)
	waiting, _ := kafka.awaitState("new", "key-01", letters.Waiting)
	kafka.awaitNoLag("g", "orders")
	c.shutdown()
	calls := len(added.all())
	well.Store(true)
	replay := kafka.operate(letters.Replay, waiting)

	c = w.consumer(hour(older))
	kafka.awaitState("old", "key-00", letters.Finished) // so the time of the others has come, too
	kafka.awaitState("old", "key-01", letters.Finished)
	if n := len(added.all()); n != calls {
		t.Errorf("%d calls of a handler that is not there", n-calls)
	}
	c.shutdown()
	if at := kafka.committed("g", orderLetters)[0]; at > replay.Offset {
		t.Errorf("the older instance has committed up to %d", at)
	}

	w.consumer(hour(newer))
	kafka.awaitState("new", "key-00", letters.Finished)
	kafka.awaitState("new", "key-01", letters.Finished)
	kafka.awaitNoLag("g", "orders", orderLetters)
	if n := len(added.all()); n != calls+2 {
		t.Errorf("%d calls of the newer instance", n-calls)
	}
}

// A letter waits while its partition moves to another instance, which runs it.
func (s *suite[ID, TX, DB]) letterRebalance(t *testing.T) {
	const all = 12
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 4, nil)
	kafka.create(orderLetters, 4, nil)
	calls := newSeen[order]()
	register := func(lib *events.Library[ID, TX, DB]) {
		lib.SetDeadLetterBackoff(3*time.Second, 3*time.Second)
		lib.ConsumeIdempotent(group, later, "h", orders.Handler(func(_ context.Context, e eventmodels.Event[order]) error {
			calls.add(e)
			if e.Attempt == 1 {
				return givenUp
			}
			return nil
		}))
	}
	first := w.consumer(register)
	first.produce(orders, 0, all)
	kafka.awaitNoLag("g", "orders")
	w.consumer(register)
	first.shutdown()
	for n := range all {
		kafka.awaitState("h", fmt.Sprintf("key-%02d", n), letters.Finished)
	}
	kafka.awaitNoLag("g", orderLetters)
	runs := make(map[int]int)
	for _, e := range calls.all() {
		if e.Attempt > 1 {
			runs[e.Payload.N]++
		}
	}
	for n := range all {
		if runs[n] != 1 {
			t.Errorf("the letter of order %d was run %d times", n, runs[n])
		}
	}
}

// A handler of the dead-letter topic gets the letters, and not what was done
// with them.
func (s *suite[ID, TX, DB]) letterHandler(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	calls, got, raw := newSeen[order](), newSeen[order](), newSeen[order]()
	watcher := eventmodels.BindTopic[order](events.DeadLetterTopic("orders", group))
	register := func(lib *events.Library[ID, TX, DB]) {
		lettered[ID, TX, DB](later, one(func(_ context.Context, e eventmodels.Event[order]) error {
			calls.add(e)
			if e.Attempt < 3 {
				return givenUp
			}
			return nil
		}))(lib)
		lib.ConsumeIdempotent(group, block, "h", watcher.Handler(got.handle), events.IsDeadLetterHandler(true), events.WithBaseTopic("orders"))
		lib.ConsumeIdempotent(events.NewConsumerGroup("watchers"), block, "w", watcher.Handler(raw.handle), events.IsDeadLetterHandler(true))
		mustPanic(t, "letters of letters", func() {
			lib.ConsumeIdempotent(group, save, "h2", watcher.Handler(got.handle), events.IsDeadLetterHandler(true))
		}, "letters")
	}
	c := w.consumer(register)
	c.produce(orders, 0, 1)
	kafka.awaitState("h", "key-00", letters.Finished)
	partition := kafka.letters(orderLetters)[0].Partition
	kafka.send(plain(orderLetters, "foreign", partition, 9))
	kafka.awaitNoLag("g", orderLetters)
	kafka.awaitNoLag("watchers", orderLetters)
	for who, got := range map[string]*seen[order]{"group": got, "watchers": raw} {
		all := got.all()
		if len(all) != 3 {
			t.Errorf("%s: %d events", who, len(all))
			continue
		}
		for i, e := range all {
			letter := i < 2
			if e.Topic != orderLetters || letter && (e.BaseTopic != "orders" || e.Payload.N != 0 || e.Key != "key-00" || fmt.Sprint(e.Headers["events-letter-handler"]) != "[h]" || e.Attempt != 1) || !letter && e.Payload.N != 9 {
				t.Errorf("%s got %+v", who, e)
			}
		}
	}
	if n := len(calls.all()); n != 3 {
		t.Errorf("%d calls of the handler itself", n)
	}
}

// The letter of an event is the event: its effect happens once, whether the
// letter is run, or the event is sent or delivered again, with an id or without.
func (s *suite[ID, TX, DB]) letterExactlyOnce(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	setup := w.library(nil)
	setup.schema(effects)
	var well atomic.Bool
	register := func(lib *events.Library[ID, TX, DB]) {
		once(lib, "g", save, "h", func(ctx context.Context, tx TX, e eventmodels.Event[order]) error {
			if err := w.effect(ctx, tx, "h", e.Key, e.Payload.N); err != nil {
				return err
			}
			if !well.Load() {
				return givenUp
			}
			return nil
		})
	}
	c := w.consumer(register)
	kafka.send(plain("orders", "without", 0, 1))
	event := orders.Event("with", order{N: 2}).ID("id-2")
	produce := func() {
		t.Helper()
		if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, event); err != nil {
			t.Fatal(err)
		}
	}
	produce()
	kafka.awaitNoLag("g", "orders")
	setup.wantEffects(nil)
	well.Store(true)
	for _, key := range []string{"without", "with"} {
		saved, _ := kafka.awaitState("h", key, letters.Saved)
		kafka.operate(letters.Replay, saved)
		done, _ := kafka.awaitState("h", key, letters.Finished)
		done.Record.Value, done.own = saved.Value, saved.own
		again := kafka.operate(letters.Replay, letterRecord{&kgo.Record{Offset: done.Offset, Partition: done.Partition, Key: saved.Key, Value: saved.Value, Headers: saved.Headers, Timestamp: saved.Timestamp}, done.Header, nil})
		eventually(t, "the second replay to be done", func() bool {
			_, newest, _ := stateOf(kafka.letters(orderLetters), "h", key)
			return newest.Kind == letters.Done && newest.Follows == again.Offset
		})
	}
	want := map[string]int{"h without": 1, "h with": 1}
	setup.wantEffects(want)

	produce() // again
	kafka.awaitNoLag("g", "orders")
	c.shutdown()
	ctx, cancel := within()
	defer cancel()
	_, err := kafka.adm.DeleteGroup(ctx, w.prefix+"g")
	kafka.must("delete group", err)
	c = w.consumer(register)
	kafka.awaitNoLag("g", "orders", orderLetters)
	setup.wantEffects(want)
}
