package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// deadLetterScene is a group's dead letters on an embedded broker, and who
// plays the service.
type deadLetterScene struct {
	*events.DeadLetters
	t      *testing.T
	client *kafka.Client
}

var desk = events.NewConsumerGroup("desk")

func newDeadLetterScene(t *testing.T) *deadLetterScene {
	t.Helper()
	b, err := eventembed.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	lib := eventnodb.New()
	lib.SetPrefix("p.")
	lib.ConsumeIdempotent(desk, eventmodels.OnFailureSave, "invoice", eventmodels.BindTopic[int]("orders").Handler(
		func(context.Context, eventmodels.Event[int]) error { return nil }))
	letters := lib.DeadLetters(desk)
	for _, err := range letters.List(within(t), events.LetterFilter{}) {
		if !errors.Is(err, events.ErrNotConfigured) {
			t.Errorf("before Configure: %v", err)
		}
	}
	lib.ConfigureNoDB(nil, false, nil, nil, b.Addrs())
	t.Cleanup(func() {
		if err := lib.Shutdown(within(t)); err != nil {
			t.Error(err)
		}
		for _, err := range letters.List(within(t), events.LetterFilter{}) {
			if !errors.Is(err, events.ErrStopped) {
				t.Errorf("after Shutdown: %v", err)
			}
		}
	})
	client, err := kafka.New(kafka.Config{Brokers: b.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &deadLetterScene{letters, t, client}
}

// fail writes the first letter of event n, and returns its record.
func (s *deadLetterScene) fail(topic string, n int) *kafka.Record {
	s.t.Helper()
	place := kafka.TopicPartition{Topic: kafka.WireTopic("p." + events.DeadLetterTopic(topic, desk))}
	if err := s.client.EnsureTopics(within(s.t), []kafka.TopicSpec{{Topic: place.Topic, Partitions: 1, ReplicationFactor: 1}}); err != nil {
		s.t.Fatal(err)
	}
	h := letters.Header{
		Kind: letters.Letter, ID: eventmodels.Mark(uuid.NewSHA1(uuid.Nil, fmt.Append(nil, topic, n))), Group: "desk", Handler: "invoice", Topic: topic,
		Follows: letters.NoRecord, Error: fmt.Sprint("no customer ", n), Cause: fmt.Sprint("cause", n%2), Attempts: 2, Last: time.Now(),
		Origin: letters.Origin{Topic: "p." + topic, Partition: 1, Offset: int64(n)},
	}
	r := h.Record(place, &kafka.Record{Key: []byte("k"), Value: fmt.Append(nil, "payload ", n), Timestamp: time.Now(),
		Headers: []kafka.Header{{Key: "ce_id", Value: fmt.Append(nil, n)}}})
	s.append(r)
	return r
}

func (s *deadLetterScene) append(r *kafka.Record) {
	s.t.Helper()
	if err := s.client.ProducePlaced(within(s.t), []*kafka.Record{r}); err != nil {
		s.t.Fatal(err)
	}
}

// answer is what the service writes after a replay.
func (s *deadLetterScene) answer(l events.Letter, kind letters.Kind, problem string) {
	s.t.Helper()
	h := letters.Header{Kind: kind, ID: eventmodels.Mark(l.ID), Group: "desk", Handler: l.Handler, Topic: l.Topic, Follows: l.Record, Replay: l.Replay,
		Error: problem, Cause: problem, Took: time.Second}
	s.append(h.Record(kafka.TopicPartition{Topic: kafka.WireTopic("p." + l.DeadLetterTopic), Partition: l.Partition},
		&kafka.Record{Key: l.Key, Value: []byte("x"), Timestamp: time.Now()}))
}

func (s *deadLetterScene) list(filter events.LetterFilter) []events.Letter {
	s.t.Helper()
	var all []events.Letter
	for l, err := range s.List(within(s.t), filter) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// only is the one letter that the filter lets through.
func (s *deadLetterScene) only(filter events.LetterFilter) events.Letter {
	s.t.Helper()
	all := s.list(filter)
	if len(all) != 1 {
		s.t.Fatalf("%d letters, not one", len(all))
	}
	return all[0]
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestDeadLettersListed(t *testing.T) {
	s := newDeadLetterScene(t)
	if got := s.list(events.LetterFilter{}); len(got) != 0 {
		t.Errorf("without any, %v is listed", got)
	}
	for n := range 5 {
		s.fail("orders", n)
	}
	s.fail("refunds", 7) // of a topic without handler here
	all := s.list(events.LetterFilter{})
	if len(all) != 6 || all[5].Error != "no customer 0" || all[5].State != events.LetterSaved || all[5].Topic != "orders" || all[5].Handler != "invoice" ||
		all[5].OriginTopic != "p.orders" || all[5].OriginOffset != 0 || all[5].DeadLetterTopic != "orders.desk.dead-letter" || string(all[5].Key) != "k" || all[5].PayloadSize != 9 {
		t.Fatalf("listed: %+v", all)
	}
	for name, filter := range map[string]events.LetterFilter{
		"orders": {Topic: "orders"}, "cause0": {Cause: "cause0"}, "limit": {Limit: 2}, "handler": {Handler: "other"},
		"saved": {States: events.OpenLetters}, "done": {States: []events.LetterState{events.LetterDone}},
		"until": {Until: all[5].Time}, "since": {Since: time.Now().Add(time.Hour)}, "after": {After: all[1].Cursor()},
	} {
		want := map[string]int{"orders": 5, "cause0": 3, "limit": 2, "saved": 6, "after": 4}[name]
		if got := s.list(filter); len(got) != want {
			t.Errorf("%s: %d letters, want %d", name, len(got), want)
		}
	}
	for _, err := range s.List(within(t), events.LetterFilter{After: "nonsense"}) {
		if err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("a cursor that is none: %v", err)
		}
	}
	causes, err := s.Causes(within(t), events.LetterFilter{})
	if err != nil || len(causes) != 3 || causes[0].Count != 3 || causes[0].Cause != "cause0" || causes[0].Example.Error != "no customer 4" ||
		!causes[0].Oldest.Equal(all[5].Time) {
		t.Errorf("%v: %+v", err, causes)
	}
}

func TestDeadLetterReplayed(t *testing.T) {
	s := newDeadLetterScene(t)
	first := s.fail("orders", 1)
	l := s.only(events.LetterFilter{})
	edit := func([]byte) ([]byte, error) { return []byte("edited"), nil }
	replay, err := s.Replay(within(t), events.LetterAction{By: "ann", Reason: "fixed", Edit: edit}, l)
	if err != nil || replay.Len() != 1 {
		t.Fatal(err)
	}
	now := s.only(events.LetterFilter{States: []events.LetterState{events.LetterReplaying}})
	if now.By != "ann" || now.Reason != "fixed" || now.Replay == "" || now.Since.IsZero() {
		t.Errorf("while it is replayed: %+v", now)
	}
	if _, err := s.Replay(within(t), events.LetterAction{}, now); !isState(err, events.LetterReplaying) {
		t.Errorf("replayed twice: %v", err)
	}
	if _, err := s.Replay(within(t), events.LetterAction{}, l); !errors.Is(err, events.ErrLetterConflict) || !strings.Contains(err.Error(), "by ann") {
		t.Errorf("by who has not looked again: %v", err)
	}
	s.answer(now, letters.Letter, "still no customer")
	outcomes, err := replay.Wait(within(t))
	if err != nil || len(outcomes) != 1 || outcomes[0].Result != events.ReplayFailed || outcomes[0].Error != "still no customer" || outcomes[0].ID != l.ID || outcomes[0].Replay != now.Replay {
		t.Fatalf("%v: %+v", err, outcomes)
	}
	if replay, err = s.Replay(within(t), events.LetterAction{}, s.only(events.LetterFilter{})); err != nil {
		t.Fatal(err)
	}
	s.answer(s.only(events.LetterFilter{}), letters.Done, "")
	outcomes, err = replay.Wait(within(t))
	if err != nil || outcomes[0].Result != events.ReplayDone || outcomes[0].Took != time.Second {
		t.Fatalf("%v: %+v", err, outcomes)
	}
	done := s.only(events.LetterFilter{})
	if done.State != events.LetterDone || !isState(s.Discard(within(t), events.LetterAction{}, done), events.LetterDone) {
		t.Errorf("after that: %+v", done)
	}
	history, err := s.Show(within(t), l.ID)
	if err != nil || len(history.Records) != 5 || history.Records[1].Kind != "replay" || history.Records[1].By != "ann" || !history.Records[4].Effect ||
		history.Records[1].Follows != first.Offset || !history.HasEvent || string(history.Payload) != "x" || history.State != events.LetterDone {
		t.Errorf("%v: %+v", err, history)
	}
	text, err := json.Marshal(history)
	if err != nil || !strings.Contains(string(text), `"id":"`+l.ID.String()+`"`) {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := s.Show(within(t), events.LetterID{1}); !errors.Is(err, events.ErrLetterNotFound) {
		t.Errorf("a letter that does not exist: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := replay.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that is over: %v", err)
	}
}

func isState(err error, state events.LetterState) bool {
	var wrong *events.LetterStateError
	return errors.As(err, &wrong) && wrong.State == state
}

func TestDeadLettersDiscardedAndReopened(t *testing.T) {
	s := newDeadLetterScene(t)
	s.fail("orders", 1)
	l := s.only(events.LetterFilter{})
	replay, err := s.Replay(within(t), events.LetterAction{}, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(within(t), events.LetterAction{By: "bob"}, s.only(events.LetterFilter{})); err != nil {
		t.Fatal(err)
	}
	outcomes, err := replay.Wait(within(t))
	if err != nil || outcomes[0].Result != events.ReplayOvertaken || outcomes[0].Op != "discard" || outcomes[0].By != "bob" {
		t.Errorf("%v: %+v", err, outcomes)
	}
	discarded := s.only(events.LetterFilter{})
	if _, err := s.Replay(within(t), events.LetterAction{}, discarded); !isState(err, events.LetterDiscarded) || !strings.Contains(err.Error(), "reopen it first") {
		t.Errorf("a replay of what was discarded: %v", err)
	}
	// What was kept somewhere else is a letter, too.
	text, err := json.Marshal(discarded)
	if err != nil {
		t.Fatal(err)
	}
	var kept events.Letter
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(within(t), events.LetterAction{}, kept); err != nil || s.only(events.LetterFilter{}).State != events.LetterSaved {
		t.Errorf("%v: %+v", err, s.only(events.LetterFilter{}))
	}
	s.append(&kafka.Record{Topic: "p.orders.desk.dead-letter", Value: []byte("a stranger's")})
	foreign := s.only(events.LetterFilter{States: []events.LetterState{events.LetterForeign}})
	var which *events.LetterError
	if err := s.Discard(within(t), events.LetterAction{}, foreign); !errors.Is(err, events.ErrForeignLetter) || !errors.As(err, &which) || which.Op != "discard" {
		t.Errorf("a foreign record: %v", err)
	}
}

func TestDeadLettersInBulk(t *testing.T) {
	s := newDeadLetterScene(t)
	const n = 1100 // some batches
	for i := range n {
		s.fail("orders", i)
	}
	all := events.LetterFilter{}
	bulk := events.LetterBulk{Op: events.DiscardLetters, Letters: s.List(within(t), all), DryRun: true}
	result, err := s.Bulk(within(t), bulk)
	if err != nil || result.Matched != n || result.Done != 0 || len(result.Causes) != 2 || result.Causes[0].Count != n/2 || len(s.list(events.LetterFilter{States: []events.LetterState{events.LetterDiscarded}})) != 0 {
		t.Fatalf("%v: a dry run: %+v", err, result)
	}
	odd := s.only(events.LetterFilter{Limit: 1})
	if err := s.Discard(within(t), events.LetterAction{}, odd); err != nil {
		t.Fatal(err)
	}
	var told []int
	bulk.DryRun, bulk.Progress = false, func(r events.LetterBulkResult) { told = append(told, r.Done) }
	bulk.Letters = func(yield func(events.Letter, error) bool) {
		i := 0
		for l, err := range s.List(within(t), all) {
			if i++; i == 10 { // somebody is faster
				if err := s.Discard(within(t), events.LetterAction{By: "bob"}, s.list(events.LetterFilter{States: events.OpenLetters, Limit: 300})[299]); err != nil {
					t.Error(err)
				}
			}
			if !yield(l, err) {
				return
			}
		}
	}
	result, err = s.Bulk(within(t), bulk)
	if err != nil || result.Matched != n-1 || result.Done != n-2 || result.Failed != 1 || result.Skipped != 1 || !errors.Is(result.Errors[0], events.ErrLetterConflict) || !slices.Equal(told, []int{499, 999, n - 2}) {
		t.Fatalf("%v: %+v, told %v", err, result, told)
	}
	if left := s.list(events.LetterFilter{States: events.OpenLetters}); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
	result, err = s.Bulk(within(t), events.LetterBulk{Op: events.ReopenLetters, Letters: s.List(within(t), all)})
	if err != nil || result.Done != n {
		t.Fatalf("%v: %+v", err, result)
	}
	result, err = s.Bulk(within(t), events.LetterBulk{Op: events.ReplayLetters, Letters: s.List(within(t), events.LetterFilter{Limit: 3})})
	if err != nil || result.Replay.Len() != 3 {
		t.Fatalf("%v: %+v", err, result)
	}
	replayed := s.list(events.LetterFilter{States: []events.LetterState{events.LetterReplaying}})
	for i, l := range replayed { // of the newest first; asked for the oldest first
		if i > 0 && l.Record > replayed[i-1].Record {
			t.Errorf("the letter that failed before is replayed later: %+v", replayed)
		}
		s.answer(l, letters.Done, "")
	}
	if outcomes, err := result.Replay.Wait(within(t)); err != nil || len(outcomes) != 3 {
		t.Errorf("%v: %+v", err, outcomes)
	}
	if _, err := s.Bulk(within(t), events.LetterBulk{Op: "burn"}); err == nil {
		t.Error("an unknown operation is accepted")
	}
}

func FuzzParseLetterID(f *testing.F) {
	f.Add("00112233445566778899aabbccddeeff")
	f.Add("00112233445566778899AABBCCDDEEFF")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := events.ParseLetterID(text)
		if err == nil && !strings.EqualFold(id.String(), text) {
			t.Errorf("%q became %s", text, id)
		}
		if err != nil && id != (events.LetterID{}) {
			t.Errorf("%q: %v, and %s", text, err, id)
		}
	})
}
