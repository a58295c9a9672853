package events

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letterdesk"
	"github.com/seed46dd6f11/events/internal/letters"
)

// DeadLetters are the dead letters of a consumer group: the events that its
// handlers with OnFailureSave or OnFailureRetryLater have failed to handle. Its
// methods read and write the group's dead-letter topics and nothing else, from
// any process that reaches the brokers, whether or not it consumes. They may be
// called at the same time.
//
// Whoever acts on a letter gives it back as it was listed or shown. If somebody
// else has done something with it meanwhile, the operation has no effect and
// its error is a [LetterConflictError].
type DeadLetters struct {
	lib   *LibraryNoDB
	group string
}

// DeadLetters returns the dead letters of a group. It may be called at any time;
// the methods of the result need a configured Library, and, like Produce, make
// it run.
func (l *LibraryNoDB) DeadLetters(group ConsumerGroupName) *DeadLetters {
	return &DeadLetters{lib: l, group: groupName(group)}
}

// List lists the group's letters, those first that have failed last. It begins
// at the ends of the topics and reads as far as the iteration goes: the first
// letters of a million are there at once. Payloads are not kept. Changes that
// are made during the iteration are not seen. An error is the last thing that it
// yields.
func (d *DeadLetters) List(ctx context.Context, filter LetterFilter) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		desk, err := d.desk()
		if err != nil {
			yield(Letter{}, fmt.Errorf("list dead letters: %w", err))
			return
		}
		query := letterdesk.Query{Since: filter.Since, Progress: filter.Progress}
		if filter.After != "" {
			if query.After, err = letterdesk.ParseCursor(string(filter.After)); err != nil {
				yield(Letter{}, fmt.Errorf("list dead letters: the cursor %q is none of Letter.Cursor: %w", filter.After, err))
				return
			}
			query.After.Topic = d.lib.wireTopic(string(query.After.Topic))
		}
		n := 0
		for item, err := range desk.Scan(ctx, query) {
			if err != nil {
				yield(Letter{}, fmt.Errorf("list dead letters: %w", err))
				return
			}
			l := d.letter(&item)
			l.cursor = d.cursor(&item)
			if !filter.wants(&l) {
				continue
			}
			if !yield(l, nil) {
				return
			}
			if n++; n == filter.Limit {
				return
			}
		}
	}
}

// Causes groups letters by handler and cause, the largest group first: a
// thousand letters are mostly a few problems. Foreign records are left out.
func (d *DeadLetters) Causes(ctx context.Context, filter LetterFilter) ([]LetterCause, error) {
	var c causes
	for l, err := range d.List(ctx, filter) {
		if err != nil {
			return nil, err
		}
		if l.State != LetterForeign {
			c.add(&l)
		}
	}
	return c.sorted(), nil
}

// Show returns a letter with its history and its event. It reads a partition of
// each of the group's dead-letter topics until it has found the letter. The
// error is [ErrLetterNotFound] if there is none.
func (d *DeadLetters) Show(ctx context.Context, id LetterID) (LetterHistory, error) {
	desk, err := d.desk()
	if err != nil {
		return LetterHistory{}, fmt.Errorf("show dead letter %s: %w", id, err)
	}
	h, ok, err := desk.History(ctx, [16]byte(id))
	if err == nil && !ok {
		err = ErrLetterNotFound
	}
	if err != nil {
		return LetterHistory{}, fmt.Errorf("show dead letter %s: %w", id, err)
	}
	history := LetterHistory{Letter: d.letter(&h.Item)}
	for _, e := range h.Entries {
		history.Records = append(history.Records, LetterRecord{
			Offset: e.Offset, Time: e.Time, Kind: e.Header.Kind.String(), Effect: e.Effect, Follows: e.Header.Follows,
			Error: e.Header.Error, Attempts: e.Header.Attempts, Replay: e.Header.Replay, By: e.Header.By, Reason: e.Header.Reason,
			Instance: e.Header.Instance, Took: e.Header.Took,
		})
	}
	if h.Event != nil {
		history.HasEvent, history.Payload = true, h.Event.Value
		for _, header := range letters.Own(h.Event.Headers) {
			history.Headers = append(history.Headers, LetterHeader{header.Key, header.Value})
		}
	}
	return history, nil
}

// desk is what reads and writes.
func (d *DeadLetters) desk() (*letterdesk.Desk, error) {
	client, err := d.lib.kafkaClient()
	if err != nil {
		return nil, err
	}
	cfg := letterdesk.Config{
		Client: client, Prefix: d.lib.settings.prefix, Group: d.group,
		Name: func(topic string) string { return deadLetterName(topic, d.group) },
	}
	for _, h := range d.lib.handlers { // constant once it runs
		if h.group == d.group {
			cfg.Topics = append(cfg.Topics, h.topic)
		}
	}
	return letterdesk.New(cfg), nil
}

var letterStates = map[letters.State]LetterState{
	letters.Saved: LetterSaved, letters.Waiting: LetterWaiting, letters.Replaying: LetterReplaying,
	letters.Finished: LetterDone, letters.Discarded: LetterDiscarded,
}

// letter gives an item the application's words.
func (d *DeadLetters) letter(i *letterdesk.Item) Letter {
	h := &i.Header
	l := Letter{
		ID: LetterID(h.ID), State: letterStates[i.State], Topic: h.Topic, Handler: h.Handler,
		Error: h.Error, Cause: h.Cause, Attempts: h.Attempts, First: h.First, Last: h.Last,
		Time: i.Time, Since: i.Since, By: i.By, Reason: i.Reason, Replay: i.Replay, Instance: h.Instance,
		OriginTopic: h.Origin.Topic, OriginPartition: h.Origin.Partition, OriginOffset: h.Origin.Offset,
		Key: i.Key, PayloadSize: i.Size,
		DeadLetterTopic: d.lib.topicOf(i.Place.Topic), Partition: i.Place.Partition, Record: i.Record, Failure: i.Failure, AsOf: i.AsOf,
	}
	if l.State == LetterWaiting {
		l.NotBefore = h.NotBefore
	}
	if i.Foreign {
		l.State = LetterForeign
		if i.Problem != nil {
			l.Error = i.Problem.Error()
		}
	}
	return l
}

// cursor is the item's place, without prefix.
func (d *DeadLetters) cursor(i *letterdesk.Item) LetterCursor {
	c := letterdesk.CursorOf(*i)
	c.Topic = kafka.WireTopic(d.lib.topicOf(c.Topic))
	return LetterCursor(c.String())
}

// item is what was a letter; the letter may have been kept somewhere.
func (d *DeadLetters) item(l *Letter) letterdesk.Item {
	i := letterdesk.Item{
		Place:  kafka.TopicPartition{Topic: d.lib.wireTopic(l.DeadLetterTopic), Partition: l.Partition},
		Record: l.Record, Failure: l.Failure, AsOf: l.AsOf, Key: l.Key, Foreign: l.State == LetterForeign,
		Header: letters.Header{ID: [16]byte(l.ID), Handler: l.Handler, Topic: l.Topic},
	}
	for state, word := range letterStates {
		if word == l.State {
			i.State = state
		}
	}
	return i
}

// LetterAction says who does something with letters, and why. Both texts are
// kept in the letters' histories; neither is needed.
type LetterAction struct {
	By, Reason string
	// Edit, if it is not nil, makes the payload that a replay runs with of the
	// letter's. It must not change payload in place. Discard and Reopen do not
	// use it.
	Edit func(payload []byte) ([]byte, error)
}

// Replay asks for letters to be handled once more, now, by the handlers that
// failed, in whichever instance of the group reads them; letters are in the
// state LetterSaved or LetterWaiting. When Replay returns the brokers have
// acknowledged it; [LetterReplay.Wait] waits for the outcome.
//
// The error is a [LetterError] for each letter that was not replayed; the
// others were, and the LetterReplay is theirs.
func (d *DeadLetters) Replay(ctx context.Context, action LetterAction, replayed ...Letter) (*LetterReplay, error) {
	r := &LetterReplay{letters: d}
	return r, errors.Join(d.apply(ctx, letters.Replay, action, replayed, r)...)
}

// Discard puts letters aside: a waiting one is not tried again. They are in one
// of the states of OpenLetters. The error is a [LetterError] for each letter
// that was not discarded; the others were.
func (d *DeadLetters) Discard(ctx context.Context, action LetterAction, discarded ...Letter) error {
	return errors.Join(d.apply(ctx, letters.Discard, action, discarded, nil)...)
}

// Reopen undoes Discard: the letters are in the state LetterSaved afterwards.
// The error is a [LetterError] for each letter that was not reopened; the others
// were.
func (d *DeadLetters) Reopen(ctx context.Context, action LetterAction, reopened ...Letter) error {
	return errors.Join(d.apply(ctx, letters.Reopen, action, reopened, nil)...)
}

// apply is one call with letters, and collects in into, if that is not nil, what
// was written.
func (d *DeadLetters) apply(ctx context.Context, kind letters.Kind, action LetterAction, targets []Letter, into *LetterReplay) []error {
	desk, err := d.desk()
	if err != nil {
		return []error{fmt.Errorf("%s dead letters: %w", kind, err)}
	}
	return d.applyIn(ctx, desk.Session(), kind, action, targets, into)
}

// applyIn returns an error for each letter with which nothing was done.
func (d *DeadLetters) applyIn(ctx context.Context, session *letterdesk.Session, kind letters.Kind, action LetterAction, targets []Letter, into *LetterReplay) []error {
	items := make([]letterdesk.Item, len(targets))
	for i := range targets {
		items[i] = d.item(&targets[i])
	}
	change := letterdesk.Change{Kind: kind, By: action.By, Reason: action.Reason, Edit: action.Edit, ReplayID: uuid.NewString}
	written, errs := session.Apply(ctx, change, items)
	var failed []error
	for i, err := range errs {
		if err != nil {
			failed = append(failed, &LetterError{ID: targets[i].ID, Op: kind.String(), Err: d.letterError(err)})
		} else if into != nil {
			into.add(written[i])
		}
	}
	return failed
}
