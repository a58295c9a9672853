package letterdesk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Change is what is to be done with letters.
type Change struct {
	Kind       letters.Kind // Replay, Discard or Reopen
	By, Reason string
	// Edit, if it is not nil, changes the event's value for a replay.
	Edit func(value []byte) ([]byte, error)
	// ReplayID makes the id of a replay.
	ReplayID func() string
}

// Written is an operation that the brokers have acknowledged and that had an
// effect.
type Written struct {
	Item   Item
	Offset int64
	Replay string
}

var (
	// ErrForeign says that a record is not of the protocol.
	ErrForeign = errors.New("the record is not one of the dead-letter protocol: nothing can be done with it")
	// ErrNoEvent says that the log no longer has a letter's event.
	ErrNoEvent = errors.New("the record with the event is no longer in the log")
)

// StateError says that an operation is not for letters in this state.
type StateError struct {
	State letters.State
	Kind  letters.Kind
}

func (e *StateError) Error() string {
	return fmt.Sprintf("a letter that is %s: no %s", e.State, e.Kind)
}

// ConflictError says that somebody else did something with a letter after it
// was looked at; so the operation has no effect.
type ConflictError struct {
	Kind letters.Kind // what was done
	By   string
}

func (e *ConflictError) Error() string { return fmt.Sprintf("changed meanwhile: %s", e.Kind) }

// Allowed says whether an operation is for a letter.
func Allowed(kind letters.Kind, i Item) error {
	var states []letters.State
	switch kind {
	case letters.Replay:
		states = []letters.State{letters.Saved, letters.Waiting}
	case letters.Discard:
		states = []letters.State{letters.Saved, letters.Waiting, letters.Replaying}
	case letters.Reopen:
		states = []letters.State{letters.Discarded}
	}
	switch {
	case i.Foreign:
		return ErrForeign
	case !slices.Contains(states, i.State):
		return &StateError{i.State, kind}
	case kind == letters.Replay && i.Failure == letters.NoRecord:
		return ErrNoEvent
	}
	return nil
}

// Session is a series of calls that act on letters. What it has read of the
// partitions since the letters were listed it does not read again, so that a
// million letters can be acted on in batches. It is used by one goroutine.
type Session struct {
	desk  *Desk
	tails map[kafka.TopicPartition]*tail
	acted map[id]struct{}
}

// Session begins a series.
func (d *Desk) Session() *Session {
	return &Session{desk: d, tails: make(map[kafka.TopicPartition]*tail), acted: make(map[id]struct{})}
}

// target is a letter on its way through Apply.
type target struct {
	index  int // in the call
	item   Item
	record *kafka.Record
	replay string
}

// Apply writes the operations, and returns for each letter what was written or
// why it was not, in the order of the letters. Letters may be of several
// partitions. What is written is acknowledged by the brokers; see the package's
// documentation for how it is known that it had an effect.
func (s *Session) Apply(ctx context.Context, c Change, items []Item) ([]Written, []error) {
	written, errs := make([]Written, len(items)), make([]error, len(items))
	places := make(map[kafka.TopicPartition][]*target)
	for i, item := range items {
		_, twice := s.acted[item.Header.ID]
		if errs[i] = Allowed(c.Kind, item); errs[i] == nil && twice {
			errs[i] = &ConflictError{c.Kind, c.By}
		}
		if errs[i] == nil {
			s.acted[item.Header.ID] = struct{}{}
			places[item.Place] = append(places[item.Place], &target{index: i, item: item})
		}
	}
	for place, targets := range places {
		// The oldest are replayed first, although lists begin with the newest.
		slices.SortStableFunc(targets, func(a, b *target) int { return cmp.Compare(a.item.Failure, b.item.Failure) })
		done, err := s.apply(ctx, c, place, targets, errs)
		for _, t := range targets {
			if err != nil && errs[t.index] == nil {
				errs[t.index] = err
			}
		}
		for _, t := range done {
			written[t.index] = Written{t.item, t.record.Offset, t.replay}
		}
	}
	return written, errs
}

// apply is Apply for one partition. A target without error of its own has the
// one that is returned.
func (s *Session) apply(ctx context.Context, c Change, place kafka.TopicPartition, targets []*target, errs []error) ([]*target, error) {
	logs, err := s.desk.cfg.Client.LogRanges(ctx, []kafka.WireTopic{place.Topic})
	if err != nil {
		return nil, err
	}
	log, ok := logs[place]
	if !ok {
		return nil, fmt.Errorf("%w: %s", kafka.ErrUnknownTopic, place)
	}
	tail, err := s.read(ctx, place, targets, log.To)
	if err != nil {
		return nil, err
	}
	targets = tail.keep(targets, errs)
	if err := s.desk.prepare(ctx, c, place, targets, errs); err != nil {
		return nil, err
	}
	targets = slices.DeleteFunc(targets, func(t *target) bool { return errs[t.index] != nil })
	if targets = s.desk.write(ctx, targets, errs); len(targets) == 0 {
		return nil, nil
	}
	last := slices.MaxFunc(targets, func(a, b *target) int { return cmp.Compare(a.record.Offset, b.record.Offset) })
	if tail, err = s.read(ctx, place, targets, last.record.Offset+1); err == nil {
		targets, err = s.desk.effective(ctx, place, targets, tail, errs)
	}
	if err != nil {
		return nil, fmt.Errorf("it was written; whether it had an effect is not known: %w", err)
	}
	return targets, nil
}

// change is an operation that was found.
type change struct {
	offset int64
	header letters.Header
}

// tail is what somebody else has done since letters were listed.
type tail struct {
	from, next int64
	changes    map[id][]change
}

// read reads a partition up to an offset.
func (s *Session) read(ctx context.Context, place kafka.TopicPartition, targets []*target, to int64) (*tail, error) {
	from := targets[0].item.AsOf
	own := make(map[int64]bool, len(targets))
	for _, t := range targets {
		from = min(from, t.item.AsOf)
		if t.record != nil {
			own[t.record.Offset] = true
		}
	}
	t := s.tails[place]
	if t == nil || from < t.from {
		t = &tail{from: from, next: from, changes: make(map[id][]change)}
		s.tails[place] = t
	}
	log := kafka.LogRange{TopicPartition: place, From: t.next, To: to}
	for chunk, err := range kafka.Whole(log, s.desk.cfg.Client.Read(ctx, log)) {
		if err != nil {
			return t, err
		}
		for _, r := range chunk.Records {
			if rec := read(r); !rec.foreign && rec.header.Kind.Operation() && !own[rec.offset] {
				t.changes[rec.header.ID] = append(t.changes[rec.header.ID], change{rec.offset, rec.header})
			}
		}
		t.next = chunk.Next
	}
	return t, nil
}

// keep returns the targets that nothing has come before: no operation lies
// between the record that they follow and their own, if it is written.
func (t *tail) keep(targets []*target, errs []error) []*target {
	var kept []*target
	for _, target := range targets {
		changes := t.changes[target.item.Header.ID]
		i := slices.IndexFunc(changes, func(c change) bool {
			return c.offset > target.item.Record && (target.record == nil || c.offset < target.record.Offset)
		})
		if i < 0 {
			kept = append(kept, target)
			continue
		}
		errs[target.index] = &ConflictError{changes[i].header.Kind, changes[i].header.By}
	}
	return kept
}

// effective returns the targets whose records have an effect. Of a letter of
// which another operation was found the whole history is read: the other one may
// have no effect itself.
func (d *Desk) effective(ctx context.Context, place kafka.TopicPartition, targets []*target, found *tail, errs []error) ([]*target, error) {
	kept := found.keep(targets, errs)
	if len(kept) == len(targets) {
		return kept, nil
	}
	var end int64
	folds := make(map[id]*letters.Fold)
	for _, t := range targets {
		if errs[t.index] != nil {
			folds[t.item.Header.ID] = new(letters.Fold)
			end = max(end, t.record.Offset+1)
		}
	}
	log := kafka.LogRange{TopicPartition: place, To: end}
	for chunk, err := range kafka.Whole(log, d.cfg.Client.Read(ctx, log)) {
		if err != nil {
			return targets, err
		}
		for _, r := range chunk.Records {
			id, _ := letters.IDOf(r.Headers)
			if fold := folds[id]; fold != nil {
				if rec := read(r); !rec.foreign && d.mine(place.Topic, rec.header) {
					fold.Add(rec.header.Entry(rec.offset))
				}
			}
		}
	}
	for _, t := range targets {
		if fold := folds[t.item.Header.ID]; errs[t.index] != nil && fold.Effective(t.record.Offset) {
			errs[t.index] = nil
			kept = append(kept, t)
		}
	}
	return kept, nil
}

// prepare makes the records. A replay carries the event, which is fetched.
func (d *Desk) prepare(ctx context.Context, c Change, place kafka.TopicPartition, targets []*target, errs []error) error {
	var events map[int64]*kafka.Record
	if c.Kind == letters.Replay {
		var err error
		if events, err = d.fetch(ctx, place, targets); err != nil {
			return err
		}
	}
	for _, t := range targets {
		h := letters.Header{
			Kind: c.Kind, ID: t.item.Header.ID, Group: d.cfg.Group, Handler: t.item.Header.Handler, Topic: t.item.Header.Topic,
			Follows: t.item.Record, By: c.By, Reason: c.Reason,
		}
		event := &kafka.Record{Key: t.item.Key}
		if c.Kind == letters.Replay {
			if event = events[t.item.Failure]; event == nil {
				errs[t.index] = ErrNoEvent
				continue
			}
			failure, _, err := letters.Parse(event.Headers)
			h.Time = failure.EventTime(event)
			if err != nil || failure.ID != h.ID {
				errs[t.index] = ErrNoEvent // the topic is another one by now
				continue
			}
			if event, err = edit(c, event); err != nil {
				errs[t.index] = err
				continue
			}
			t.replay = c.ReplayID()
			h.Replay, h.Attempts, h.First, h.Origin = t.replay, failure.Attempts, failure.First, failure.Origin
		}
		t.record = h.Record(place, event)
	}
	return nil
}

func edit(c Change, event *kafka.Record) (*kafka.Record, error) {
	if c.Edit == nil {
		return event, nil
	}
	value, err := c.Edit(event.Value)
	if err != nil {
		return nil, fmt.Errorf("edit the payload: %w", err)
	}
	edited := *event
	edited.Value = value
	return &edited, nil
}

// nearby is how many records between two letters are read rather than asked
// for twice.
const nearby = 64

// fetch reads the records with the letters' events.
func (d *Desk) fetch(ctx context.Context, place kafka.TopicPartition, targets []*target) (map[int64]*kafka.Record, error) {
	wanted := make(map[int64]bool, len(targets))
	var offsets []int64
	for _, t := range targets {
		if !wanted[t.item.Failure] {
			wanted[t.item.Failure] = true
			offsets = append(offsets, t.item.Failure)
		}
	}
	slices.Sort(offsets)
	events := make(map[int64]*kafka.Record, len(offsets))
	for len(offsets) > 0 {
		n := 1
		for n < len(offsets) && offsets[n]-offsets[n-1] <= nearby {
			n++
		}
		log := kafka.LogRange{TopicPartition: place, From: offsets[0], To: offsets[n-1] + 1}
		for chunk, err := range d.cfg.Client.Read(ctx, log) {
			if err != nil {
				return nil, err
			}
			for _, r := range chunk.Records {
				if wanted[r.Offset] {
					events[r.Offset] = r
				}
			}
		}
		offsets = offsets[n:]
	}
	return events, nil
}

// write produces the records of a partition, and returns the targets whose
// records were acknowledged.
func (d *Desk) write(ctx context.Context, targets []*target, errs []error) []*target {
	if len(targets) == 0 {
		return nil
	}
	records := make([]*kafka.Record, len(targets))
	for i, t := range targets {
		records[i] = t.record
	}
	err := d.cfg.Client.ProducePlaced(ctx, records)
	if err == nil {
		return targets
	}
	var failed *kafka.ProduceError
	if !errors.As(err, &failed) {
		for _, t := range targets {
			errs[t.index] = err
		}
		return nil
	}
	for _, f := range failed.Failed {
		errs[targets[f.Index].index] = f.Err
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t *target) bool { return errs[t.index] != nil })
}
