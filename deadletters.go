package events

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

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
// Who acts on a letter names the letter as he has seen it. If somebody else has
// done something with it meanwhile the operation has no effect, and he is told
// by a [LetterConflictError].
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

// LetterID names a letter: the same event, group and handler always have the
// same one. Its text form has 32 hexadecimal digits.
type LetterID [16]byte

// String returns the text form.
func (id LetterID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id LetterID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *LetterID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("%q is no letter id: it has 32 hexadecimal digits", text)
	}
	var read LetterID
	if _, err := hex.Decode(read[:], text); err != nil {
		return fmt.Errorf("%q is no letter id: it has 32 hexadecimal digits", text)
	}
	*id = read
	return nil
}

// ParseLetterID reads the text form.
func ParseLetterID(text string) (id LetterID, err error) {
	return id, id.UnmarshalText([]byte(text))
}

// LetterState is what has become of a letter.
type LetterState string

// The states of letters.
const (
	// LetterSaved waits until somebody asks for a replay.
	LetterSaved LetterState = "saved"
	// LetterWaiting is tried again by itself; see Letter.NotBefore.
	LetterWaiting LetterState = "waiting"
	// LetterReplaying has been asked to be handled again. If it stays so, no
	// instance with the handler runs.
	LetterReplaying LetterState = "replaying"
	// LetterDone was handled in the end.
	LetterDone LetterState = "done"
	// LetterDiscarded was put aside by somebody.
	LetterDiscarded LetterState = "discarded"
	// LetterForeign is a record in a dead-letter topic that this library has
	// not written, or that cannot be read. Nothing can be done with it.
	LetterForeign LetterState = "foreign"
)

// Letter is a dead letter as it was when it was looked at.
type Letter struct {
	ID    LetterID    `json:"id"`
	State LetterState `json:"state"`
	// Topic and Handler, without prefix, are what has failed.
	Topic   string `json:"topic,omitempty"`
	Handler string `json:"handler,omitempty"`
	// Error is the last failure's text, shortened. For a foreign record that
	// cannot be read it says why.
	Error string `json:"error,omitempty"`
	// Cause groups letters with the same problem.
	Cause string `json:"cause,omitempty"`
	// Attempts is how often the event was tried.
	Attempts int `json:"attempts,omitempty"`
	// First and Last are the times of the first and the last failure, by the
	// clocks of the services; NotBefore is when a waiting letter is tried again.
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Time is Last, or of a foreign record its timestamp. The list is in its
	// order, as far as the clocks of the services agree with the order in which
	// letters were written.
	Time time.Time `json:"time"`
	// Since is when the letter came into its state, By and Reason are the
	// words of who brought it there, if somebody did.
	Since  time.Time `json:"since,omitzero"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// Replay is the id of the replay that is under way, or that has failed or
	// succeeded last.
	Replay string `json:"replay,omitempty"`
	// Instance is the process in which it has failed.
	Instance string `json:"instance,omitempty"`
	// OriginTopic (with the prefix), OriginPartition and OriginOffset are where
	// the event was first written.
	OriginTopic     string `json:"origin_topic,omitempty"`
	OriginPartition int32  `json:"origin_partition,omitempty"`
	OriginOffset    int64  `json:"origin_offset,omitempty"`
	// Key is the event's key, nil if it has none. PayloadSize is in bytes; Show
	// has the payload.
	Key         []byte `json:"key,omitempty"`
	PayloadSize int    `json:"payload_size"`

	// DeadLetterTopic (without prefix) and Partition are where the letter's
	// records lie; Record is the offset of the one that has made the state,
	// Failure that of the last failure (-1 if the log no longer has it), and
	// AsOf the end of the partition when it was looked at. Operations need
	// them.
	DeadLetterTopic string `json:"dead_letter_topic"`
	Partition       int32  `json:"partition"`
	Record          int64  `json:"record"`
	Failure         int64  `json:"failure"`
	AsOf            int64  `json:"as_of"`

	cursor LetterCursor
}

// LetterCursor is a place in the list, in a form that can be kept.
type LetterCursor string

// Cursor is the letter's place in the list; [LetterFilter].After continues
// behind it. Only letters that List has yielded have one.
func (l Letter) Cursor() LetterCursor { return l.cursor }

// LetterFilter says which letters are wanted; zero fields say nothing.
type LetterFilter struct {
	Topic, Handler, Cause string
	// States, if there are any, are the states that are wanted. OpenLetters are
	// those with which something is to be done.
	States []LetterState
	// Since and Until bound Letter.Time: from Since on, before Until. Since also
	// ends the reading; the clocks of the services are believed to within an
	// hour.
	Since, Until time.Time
	// Limit is the largest number of letters; 0 is no limit.
	Limit int
	// After continues a list behind the letter with this cursor. The
	// newest letters have to be read nevertheless, since they tell what has
	// become of the others.
	After LetterCursor
	// Progress, if it is not nil, is called from time to time with how many of
	// the offsets of the topics have been read.
	Progress func(read, total int64)
}

// OpenLetters are the states of letters that are not done with.
var OpenLetters = []LetterState{LetterSaved, LetterWaiting, LetterReplaying}

func (f *LetterFilter) wants(l *Letter) bool {
	return (f.Topic == "" || f.Topic == l.Topic) && (f.Handler == "" || f.Handler == l.Handler) && (f.Cause == "" || f.Cause == l.Cause) &&
		(len(f.States) == 0 || slices.Contains(f.States, l.State)) && (f.Until.IsZero() || l.Time.Before(f.Until))
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

// LetterCause is a problem that letters have in common.
type LetterCause struct {
	Topic   string `json:"topic"`
	Handler string `json:"handler"`
	Cause   string `json:"cause"`
	Count   int    `json:"count"`
	// Newest and Oldest are Letter.Time of two of them.
	Newest time.Time `json:"newest"`
	Oldest time.Time `json:"oldest"`
	// Example is the newest of them.
	Example Letter `json:"example"`
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

// LetterRecord is a record of a letter's history.
type LetterRecord struct {
	Offset int64     `json:"offset"`
	Time   time.Time `json:"time"`
	// Kind is letter, copy, replay, done, discard or reopen.
	Kind string `json:"kind"`
	// Effect says whether the record has had an effect; it has none if it was
	// written without knowing of an operation before it.
	Effect bool `json:"effect"`
	// Follows is the offset of the record that it acts on, -1 for none.
	Follows  int64         `json:"follows"`
	Error    string        `json:"error,omitempty"`
	Attempts int           `json:"attempts,omitempty"`
	Replay   string        `json:"replay,omitempty"`
	By       string        `json:"by,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Took     time.Duration `json:"took,omitempty"`
}

// LetterHeader is a header of the event.
type LetterHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// LetterHistory is everything that is known of a letter.
type LetterHistory struct {
	Letter
	// Records are in the order in which they were written.
	Records []LetterRecord `json:"records"`
	// Headers and Payload are the event's, as it failed last. They are nil, and
	// HasEvent false, if the log no longer has it.
	HasEvent bool           `json:"has_event"`
	Headers  []LetterHeader `json:"headers,omitempty"`
	Payload  []byte         `json:"payload,omitempty"`
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
