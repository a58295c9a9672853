package events_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Where a group begins that has committed nothing.
func TestWithStart(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		first := newSettled(t, brokers, "", func(*settled) {})
		first.produce(t, "old")
		var middle time.Time // between the records' timestamps
		reader := raw(t, brokers, kgo.ConsumeTopics(first.prefix+"settled"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for middle.IsZero() && ctx.Err() == nil {
			for _, r := range reader.PollFetches(ctx).Records() {
				middle = r.Timestamp.Add(time.Millisecond)
			}
		}
		for time.Now().Before(middle.Add(time.Millisecond)) {
			<-time.After(time.Millisecond)
		}
		first.produce(t, "middle")
		for _, test := range []struct {
			name  string
			opts  []events.HandlerOpt
			wants []string
		}{
			{"default", nil, []string{"old", "middle"}},
			{"earliest", []events.HandlerOpt{events.WithStart(events.Earliest)}, []string{"old", "middle"}},
			{"time", []events.HandlerOpt{events.WithStart(events.StartAt(middle))}, []string{"middle"}},
			{"latest", []events.HandlerOpt{events.WithStart(events.Latest)}, nil},
		} {
			// Another topic of the group begins elsewhere.
			other := eventsqlite.BindTopic[string]("other-" + test.name)
			others := make(chan string, 10)
			var got <-chan string
			s := newSettled(t, brokers, first.prefix, func(s *settled) {
				got = s.consume(test.name, test.opts...)
				s.ConsumeIdempotent(events.NewConsumerGroup(test.name), eventmodels.OnFailureBlock, "o", other.Handler(
					func(_ context.Context, e eventmodels.Event[string]) error { others <- e.Payload; return nil }))
			})
			if err := first.Produce(ctx, eventmodels.ProduceImmediate, other.Event("k", "other")); err != nil {
				t.Fatal(err)
			}
			s.start(t)
			next(t, others) // the group has its partitions, and their beginnings
			mark := "end-" + test.name
			waitCommitted(t, brokers, s.prefix+test.name, s.prefix+"settled", test.name == "latest")
			s.produce(t, mark)
			want := append(slices.Clone(test.wants), mark)
			arrived := make(map[string]int) // in any order
			missing := func(v string) bool { return arrived[v] == 0 }
			for slices.ContainsFunc(want, missing) {
				arrived[next(t, got)]++
			}
			s.shutdown(t)
			for len(got) > 0 {
				arrived[<-got]++
			}
			for v, n := range arrived {
				if n > 1 || !slices.Contains(want, v) && !strings.HasPrefix(v, "end-") {
					t.Errorf("%s: %q came %d times, want %v", test.name, v, n, want)
				}
			}
			// A group that has committed goes on where it was, whatever is said.
			again := newSettled(t, brokers, first.prefix, func(s *settled) { got = s.consume(test.name, events.WithStart(events.StartAt(middle.Add(-time.Hour)))) })
			again.produce(t, "end-again-"+test.name)
			again.start(t)
			if v := next(t, got); v != "end-again-"+test.name {
				t.Errorf("%s, again: %q", test.name, v)
			}
			again.shutdown(t)
		}
	})
}

// waitCommitted waits until a group that does not begin at the start has its
// beginning committed.
func waitCommitted(t *testing.T, brokers []string, group, topic string, needed bool) {
	t.Helper()
	admin := kadm.NewClient(raw(t, brokers))
	for deadline := time.Now().Add(time.Minute); needed; <-time.After(10 * time.Millisecond) {
		offsets, err := admin.FetchOffsets(context.Background(), group)
		if err == nil && len(offsets[topic]) > 0 {
			complete := true
			for _, o := range offsets[topic] {
				complete = complete && o.At >= 0
			}
			if complete && len(offsets[topic]) == 2 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("waited a minute for the group's beginning")
		}
	}
}

// A group begins in a topic at one place.
func TestWithStartConflicts(t *testing.T) {
	lib := eventsqlite.NewLibrary()
	register := func(group, name string, opts ...events.HandlerOpt) (problem any) {
		defer func() { problem = recover() }()
		lib.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, name, settledTopic.Handler(
			func(context.Context, eventmodels.Event[string]) error { return nil }), opts...)
		return nil
	}
	now := time.Now()
	for _, test := range []struct {
		group, name string
		opts        []events.HandlerOpt
		ok          bool
	}{
		{"g", "a", []events.HandlerOpt{events.WithStart(events.StartAt(now))}, true},
		{"g", "b", nil, true},
		{"g", "c", []events.HandlerOpt{events.WithStart(events.StartAt(now.UTC().Round(0)))}, true},
		{"g", "d", []events.HandlerOpt{events.WithStart(events.Latest)}, false},
		{"g", "e", []events.HandlerOpt{events.WithStart(events.Earliest)}, false},
		{"other", "a", []events.HandlerOpt{events.WithStart(events.Latest)}, true},
	} {
		if p := register(test.group, test.name, test.opts...); (p == nil) != test.ok {
			t.Errorf("%s/%s: panic %v", test.group, test.name, p)
		} else if p != nil && !strings.Contains(fmt.Sprint(p), `"a"`) {
			t.Errorf("%v does not name the other handler", p)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a broadcast with WithStart is accepted")
		}
	}()
	lib.ConsumeBroadcast("b", settledTopic.Handler(func(context.Context, eventmodels.Event[string]) error { return nil }), events.WithStart(events.Latest))
}
