package letterdesk

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

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
