package letterdesk

import (
	"context"
	"errors"
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
