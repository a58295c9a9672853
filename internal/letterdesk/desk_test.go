package letterdesk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

func numbers(items []Item) (ns []string) {
	for _, i := range items {
		switch {
		case i.Foreign:
			ns = append(ns, "foreign")
		default:
			ns = append(ns, i.Header.Error+" "+i.State.String())
		}
	}
	return ns
}

func TestScan(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		topic := o.topic("orders", 3)
		other := o.topic("refunds", 2) // found by its name
		if got := o.list(Query{}); len(got) != 0 {
			t.Errorf("of nothing, %v is listed", numbers(got))
		}
		const n = 700 // more than a step
		var records []*kafka.Record
		for i := range n {
			records = append(records, written(topic, 3, i))
		}
		o.write(records...)
		refund := written(other, 2, n)
		h, own, _ := letters.Parse(refund.Headers)
		h.Topic, refund.Headers = "refunds", own
		o.write(h.Record(kafka.TopicPartition{Topic: other, Partition: refund.Partition}, refund))
		o.write(&kafka.Record{Topic: string(topic), Partition: 1, Key: []byte("k"), Value: []byte("a stranger's")},
			&kafka.Record{Topic: string(topic), Partition: 1, Headers: []kafka.Header{{Key: "events-letter", Value: []byte("letter")}}})
		// Of a group whose topic has the same name.
		stranger := written(topic, 3, 9999)
		h, _, _ = letters.Parse(stranger.Headers)
		h.Group, h.Topic = "x."+group, "orders"
		o.write(h.Record(kafka.TopicPartition{Topic: topic, Partition: 0}, &kafka.Record{}))

		got := o.list(Query{})
		if len(got) != n+3 || !slices.IsSortedFunc(got, func(a, b Item) int {
			if CursorOf(a).before(CursorOf(b)) {
				return -1
			}
			return 1
		}) {
			t.Fatalf("%d letters of %d are listed, or not in order", len(got), n+3)
		}
		seen := make(map[id]bool)
		foreign, problems := 0, 0
		for _, item := range got {
			if item.Foreign {
				foreign++
				if item.Problem != nil {
					problems++
				}
				continue
			}
			seen[item.Header.ID] = true
		}
		if len(seen) != n+1 || foreign != 2 || problems != 1 {
			t.Errorf("%d letters, %d foreign records of which %d cannot be read", len(seen), foreign, problems)
		}

		// Page by page, while a letter fails again.
		var paged []Item
		var after Cursor
		for {
			page := 0
			for item, err := range o.Scan(timeout(t), Query{After: after}) {
				if err != nil {
					t.Fatal(err)
				}
				paged, after = append(paged, item), CursorOf(item)
				if page++; page == 301 {
					break
				}
			}
			if page < 301 {
				break
			}
			again := follow(records[10], letters.Letter, func(h *letters.Header) { h.Error = "again" })
			o.write(again)
		}
		if len(paged) < len(got)-1 || len(paged) > len(got) {
			t.Errorf("in pages %d are listed, %d are there", len(paged), len(got))
		}
		if newest := o.list(Query{})[0]; newest.Header.Error != "again" || newest.Header.ID != idOf(10) {
			t.Errorf("the newest is %+v", newest)
		}
	})
}

func TestScanStates(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		topic := o.topic("orders", 1)
		rs := make([]*kafka.Record, 6)
		for i := range rs {
			rs[i] = written(topic, 1, i)
			o.write(rs[i])
		}
		discard := follow(rs[1], letters.Discard, func(h *letters.Header) { h.By, h.Reason = "ann", "old" })
		o.write(discard)
		replay := follow(rs[2], letters.Replay, func(h *letters.Header) { h.Replay = "r2" })
		o.write(replay)
		o.write(follow(replay, letters.Done, func(h *letters.Header) { h.Replay = "r2" }))
		lateReplay := follow(rs[3], letters.Replay, func(h *letters.Header) { h.Replay = "r3" })
		o.write(lateReplay, follow(rs[3], letters.Discard, nil)) // the discard comes too late
		o.write(follow(rs[4], letters.Letter, func(h *letters.Header) { h.Mode, h.Error = letters.Retry, "error 4 again" }))
		want := []string{"error 4 again waiting", "error 5 saved", "error 3 replaying", "error 2 done", "error 1 discarded", "error 0 saved"}
		if got := numbers(o.list(Query{})); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if i := o.find(1); i.By != "ann" || i.Reason != "old" || i.Record != discard.Offset || i.Failure != rs[1].Offset || string(i.Key) != "key1" || i.Size != len("event 1") {
			t.Errorf("the discarded one is %+v", i)
		}
		if i := o.find(3); i.Replay != "r3" {
			t.Errorf("the replayed one is %+v", i)
		}

		h, ok, err := o.History(timeout(t), idOf(3))
		if err != nil || !ok || h.State != letters.Replaying || len(h.Entries) != 3 || !h.Entries[1].Effect || h.Entries[2].Effect || string(h.Event.Value) != "event 3" {
			t.Errorf("%v, %v: %+v", err, ok, h)
		}
		if _, ok, err := o.History(timeout(t), idOf(77)); ok || err != nil {
			t.Errorf("a letter that does not exist: %v, %v", ok, err)
		}
	})
}

// What failed before is left out, also of partitions that have nothing else,
// and states are right although what makes them lies further down. What counts
// is the time of the failure, not that of the event.
func TestScanSince(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		topic := o.topic("orders", 2)
		now := time.Now()
		failed := func(n int, at time.Time) *kafka.Record {
			r := written(topic, 2, n)
			h, own, err := letters.Parse(r.Headers)
			if err != nil {
				t.Fatal(err)
			}
			h.Last, r.Headers = at, own
			return h.Record(kafka.TopicPartition{Topic: topic, Partition: r.Partition}, &kafka.Record{Value: r.Value, Timestamp: now.Add(-1000 * time.Hour)})
		}
		var old []*kafka.Record
		for n := range 3000 {
			old = append(old, failed(n, now.Add(-100*time.Hour)))
		}
		o.write(old...)
		again := follow(old[5], letters.Letter, func(h *letters.Header) { h.Error, h.Last = "again", now })
		o.write(failed(4000, now), failed(4001, now.Add(-59*time.Minute)), failed(4002, now.Add(-2*time.Hour)), again)
		o.write(follow(old[6], letters.Discard, nil))
		read := int64(0)
		got := o.list(Query{Since: now.Add(-time.Hour), Progress: func(n, _ int64) { read = n }})
		if len(got) != 3 || read >= 3000 {
			t.Errorf("%q, after %d offsets", numbers(got), read)
		}
		if got := o.list(Query{Since: now.Add(time.Hour)}); len(got) != 0 {
			t.Errorf("in the future: %q", numbers(got))
		}
		if got := o.list(Query{Since: now.Add(-200 * time.Hour)}); len(got) != 3003 {
			t.Errorf("of all, %d", len(got))
		}
	})
}

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
		if got := o.write2(targets); len(got) != 1 {
			t.Errorf("an operation with effect is taken for one without")
		}
	})
}

// write2 is the second half of Apply.
func (o *office) write2(targets []*target) []*target {
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

func TestOutcomes(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		topic := o.topic("orders", 2)
		var items []Item
		for i := range 4 {
			o.write(written(topic, 2, i))
		}
		for i := range 4 {
			items = append(items, o.find(i))
		}
		n := 0
		ws, errs := o.Session().Apply(timeout(t), Change{Kind: letters.Replay, ReplayID: func() string { n++; return fmt.Sprint("r", n) }}, items)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		replays := make(map[string]*kafka.Record)
		for i, w := range ws {
			r := written(topic, 2, i)
			r.Partition, r.Offset = w.Item.Place.Partition, w.Offset
			replays[w.Item.Header.Error] = r
		}
		replayID := func(i int) string { return ws[i].Replay }
		o.write(follow(replays["error 0"], letters.Done, func(h *letters.Header) { h.Replay = replayID(0) }))
		o.write(follow(replays["error 1"], letters.Replay, func(h *letters.Header) { h.Replay = replayID(1) })) // moved to the tail
		o.write(follow(replays["error 1"], letters.Letter, func(h *letters.Header) { h.Replay, h.Error = replayID(1), "still" }))
		stale := follow(replays["error 2"], letters.Discard, func(h *letters.Header) { h.Follows = items[2].Record }) // has no effect
		o.write(stale)
		o.write(follow(replays["error 2"], letters.Discard, func(h *letters.Header) { h.By = "bob" }))
		got := make(map[string]string)
		for outcome, err := range o.Outcomes(timeout(t), ws[:3]) {
			if err != nil {
				t.Fatal(err)
			}
			got[outcome.Item.Header.Error] = fmt.Sprint(outcome.Header.Kind, " ", outcome.Header.Error, outcome.Header.By, " ", outcome.Overtaken())
		}
		if fmt.Sprint(got) != "map[error 0:done  false error 1:letter still false error 2:discard bob true]" {
			t.Errorf("got %v", got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		for _, err := range o.Outcomes(ctx, ws[3:]) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("nobody runs it: %v", err)
			}
		}
	})
}

// A scan that is not read to the end leaves nothing behind (goleak), and one
// whose ctx ends says so.
func TestScanStops(t *testing.T) {
	onClusters(t, func(t *testing.T, o *office) {
		topic := o.topic("orders", 3)
		var records []*kafka.Record
		for i := range 100 {
			records = append(records, written(topic, 3, i))
		}
		o.write(records...)
		for range o.Scan(timeout(t), Query{}) {
			break
		}
		ctx, cancel := context.WithCancel(context.Background())
		var last error
		for _, err := range o.Scan(ctx, Query{}) {
			cancel()
			last = err
		}
		cancel()
		if last != nil && !errors.Is(last, context.Canceled) {
			t.Errorf("the error is %v", last)
		}
		for _, err := range o.Scan(ctx, Query{}) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v", err)
			}
		}
	})
}
