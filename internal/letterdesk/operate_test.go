package letterdesk

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// apply is Apply for one letter.
func (o *office) apply(c Change, item Item) (Written, error) {
	o.t.Helper()
	c.By, c.Reason = "ann", "a test"
	c.ReplayID = func() string { return "replay-of-" + item.Header.Error }
	written, errs := o.Session().Apply(timeout(o.t), c, []Item{item})
	return written[0], errs[0]
}

func TestApply(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		topic := o.topic("orders", 2)
		for i := range 4 {
			o.write(written(topic, 2, i))
		}
		o.write(&kafka.Record{Topic: string(topic), Value: []byte("foreign")})
		seen := o.find(0)
		w, err := o.apply(Change{Kind: letters.Discard}, seen)
		if err != nil || o.find(0).State != letters.Discarded || o.find(0).By != "ann" || string(o.find(0).Key) != "key0" {
			t.Fatalf("%v: %+v", err, o.find(0))
		}
		// Who looked before that is told.
		var conflict *ConflictError
		if _, err := o.apply(Change{Kind: letters.Replay}, seen); !errors.As(err, &conflict) || conflict.Kind != letters.Discard || conflict.By != "ann" {
			t.Errorf("after a discard: %v", err)
		}
		var state *StateError
		if _, err := o.apply(Change{Kind: letters.Replay}, o.find(0)); !errors.As(err, &state) || state.State != letters.Discarded {
			t.Errorf("of a discarded letter: %v", err)
		}
		if _, err := o.apply(Change{Kind: letters.Reopen}, o.find(1)); !errors.As(err, &state) {
			t.Errorf("reopen a saved letter: %v", err)
		}
		for _, item := range o.list(Query{}) {
			if _, err := o.apply(Change{Kind: letters.Discard}, item); item.Foreign && !errors.Is(err, ErrForeign) {
				t.Errorf("a foreign record: %v", err)
			}
		}
		again, err := o.apply(Change{Kind: letters.Reopen}, o.find(0))
		if err != nil || again.Offset <= w.Offset || o.find(0).State != letters.Saved {
			t.Fatalf("reopened: %v, %+v", err, o.find(0))
		}
		edit := func(v []byte) ([]byte, error) { return append([]byte("edited "), v...), nil }
		w, err = o.apply(Change{Kind: letters.Replay, Edit: edit}, o.find(0))
		if err != nil || w.Replay != "replay-of-error 0" {
			t.Fatal(err)
		}
		h, ok, err := o.History(timeout(t), idOf(0))
		if err != nil || !ok || h.State != letters.Replaying || len(h.Entries) != 4 || h.Event == nil {
			t.Fatalf("%v: %+v", err, h)
		}
		last := h.Entries[3].Header
		if last.Attempts != 3 || last.Origin.Topic != "orders" || last.Replay != w.Replay || last.By != "ann" || last.Reason != "a test" || last.Follows != again.Offset {
			t.Errorf("the replay is %+v", last)
		}
		records, err := o.recordsOf(timeout(t), kafka.LogRange{TopicPartition: h.Place, From: w.Offset, To: w.Offset + 1}, idOf(0))
		if err != nil || len(records) != 1 || string(records[0].Value) != "edited event 0" || string(records[0].Key) != "key0" || string(letters.Own(records[0].Headers)[0].Value) != "0" {
			t.Errorf("%v: %+v", err, records)
		}
		if _, err := o.apply(Change{Kind: letters.Replay, Edit: func([]byte) ([]byte, error) { return nil, errors.ErrUnsupported }}, o.reopen(t, 1)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("an edit that fails: %v", err)
		}
	})
}

// reopen makes sure that a letter is saved.
func (o *office) reopen(t *testing.T, n int) Item {
	t.Helper()
	if item := o.find(n); item.State == letters.Discarded {
		if _, err := o.apply(Change{Kind: letters.Reopen}, item); err != nil {
			t.Fatal(err)
		}
	}
	return o.find(n)
}

// Of many that act on one letter at once exactly one has an effect, and knows
// it.
func TestApplyAtOnce(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		o.write(written(o.topic("orders", 1), 1, 1))
		seen := o.find(1)
		const people = 8
		results := make(chan error, people)
		for n := range people {
			go func() {
				kind := []letters.Kind{letters.Discard, letters.Replay}[n%2]
				_, errs := o.Session().Apply(timeout(t), Change{Kind: kind, By: fmt.Sprint(n), ReplayID: func() string { return fmt.Sprint(n) }}, []Item{seen})
				results <- errs[0]
			}()
		}
		won := 0
		for range people {
			var conflict *ConflictError
			switch err := <-results; {
			case err == nil:
				won++
			case !errors.As(err, &conflict):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d had an effect", won)
		}
		// What lost has left nothing that stands in the way.
		now := o.find(1)
		kind := letters.Discard
		if now.State == letters.Discarded {
			kind = letters.Reopen
		}
		if _, err := o.apply(Change{Kind: kind}, now); err != nil {
			t.Error(err)
		}
		// Two in one call are two people.
		now = o.find(1)
		kind = letters.Discard
		if now.State == letters.Discarded {
			kind = letters.Reopen
		}
		_, errs := o.Session().Apply(timeout(t), Change{Kind: kind}, []Item{now, now})
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("twice in one call: %v", errs)
		}
	})
}

// An operation that came between, and has no effect itself, is no conflict.
func TestApplyAfterIneffectiveOperation(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		first := written(o.topic("orders", 1), 1, 1)
		o.write(first)
		replay := follow(first, letters.Replay, func(h *letters.Header) { h.Replay = "r" })
		o.write(replay)
		seen := o.find(1)
		late := follow(first, letters.Discard, nil) // follows what the replay has overtaken
		targets := []*target{{item: seen, record: follow(replay, letters.Discard, nil)}}
		o.write(late)
		if got := o.writeAndLook(targets); len(got) != 1 {
			t.Errorf("an operation with effect is taken for one without")
		}
	})
}

// writeAndLook is the second half of Apply.
func (o *office) writeAndLook(targets []*target) []*target {
	o.t.Helper()
	errs := make([]error, 1)
	targets = o.Desk.write(timeout(o.t), targets, errs)
	found, err := o.Session().read(timeout(o.t), targets[0].item.Place, targets, targets[0].record.Offset+1)
	if err != nil || len(found.changes) == 0 {
		o.t.Fatal("the other operation was not found", err)
	}
	kept, err := o.effective(timeout(o.t), targets[0].item.Place, targets, found, errs)
	if err != nil {
		o.t.Fatal(err)
	}
	return kept
}
