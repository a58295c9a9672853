//go:build synctests

package events_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// logRecorder is a slog.Handler that keeps what is logged.
type logRecorder struct {
	with []slog.Attr
	into *recordedLines
}

type recordedLines struct {
	mu    sync.Mutex
	lines []recordedLine // guarded by mu
}

type recordedLine struct {
	level   slog.Level
	message string
	attrs   map[string]string
	twice   []string // names that the line has more than once
}

func (r logRecorder) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (r logRecorder) WithGroup(string) slog.Handler { return r }
func (r logRecorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logRecorder{append(slices.Clone(r.with), attrs...), r.into}
}

func (r logRecorder) Handle(_ context.Context, record slog.Record) error {
	line := recordedLine{level: record.Level, message: record.Message, attrs: map[string]string{}}
	add := func(a slog.Attr) bool {
		if a.Key != "" {
			if _, ok := line.attrs[a.Key]; ok {
				line.twice = append(line.twice, a.Key)
			}
			line.attrs[a.Key] = a.Value.String()
		}
		return true
	}
	for _, a := range r.with {
		add(a)
	}
	record.Attrs(add)
	r.into.mu.Lock()
	defer r.into.mu.Unlock()
	r.into.lines = append(r.into.lines, line)
	return nil
}

// logWords are the names of attributes. A thing has one name; a topic is
// without prefix, a wire topic with it.
var logWords = []string{
	"attempt", "attempts", "broker", "category", "consumer_group", "counted", "effective", "epoch", "err", "error", "events", "failures", "from", "handler",
	"id", "left_out", "next_attempt_in", "offset", "operation", "partition", "partitions", "questions", "scope", "stack", "timeout", "to",
	"topic", "verdict", "wire_topic",
}

// A busy minute in which everything fails logs a number of lines that does not
// depend on the number of events, each with words that are known, and nothing of
// what the events hold.
func TestLogsOfABusyMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		recorded := new(recordedLines)
		topic := eventsqlite.BindTopic[string]("busylogs")
		fail := func(context.Context, eventmodels.Event[string]) error {
			return eventmodels.SetErrorHandling(errors.New("no"), eventmodels.DoNotRetry)
		}
		lib, db := s.library(func(lib *eventsqlite.Library) {
			lib.SetPrefix("p.")
			lib.SetLogger(slog.New(logRecorder{into: recorded}))
			group := events.NewConsumerGroup("busylogs")
			lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "drops", topic.Handler(fail))
			lib.ConsumeIdempotent(group, eventmodels.OnFailureSave, "saves", topic.Handler(fail))
			lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "retries", topic.Handler(func(_ context.Context, e eventmodels.Event[string]) error {
				if e.Attempt < 3 {
					return errors.New("not yet")
				}
				return nil
			}))
			lib.ConsumeIdempotent(events.NewConsumerGroup("busylogs-block"), eventmodels.OnFailureBlock, "blocks", topic.Handler(func(_ context.Context, e eventmodels.Event[string]) error {
				if e.Attempt == 1 {
					panic("the first attempt")
				}
				return nil
			}), events.WithBackoff(time.Millisecond, time.Millisecond))
			lib.ConsumeExactlyOnce(events.NewConsumerGroup("busylogs-once"), eventmodels.OnFailureDiscard, "fine", topic.HandlerTx(
				func(context.Context, *eventsqlite.Tx, eventmodels.Event[string]) error { return nil }))
			lib.ConsumeBroadcast("all", topic.Handler(fail), events.WithRetrying(false))
		})
		if _, err := lib.CatchUpProduce(context.Background(), time.Second, 100); err != nil {
			t.Fatal(err)
		}
		lib.StartConsumingOrPanic(t.Context())
		minute := func(perSecond int) {
			for range 60 {
				if err := db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
					for range perSecond {
						tx.Produce(topic.Event("secret-key", "secret-body").WithHeader("x-h", "secret-header"))
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			time.Sleep(2 * time.Minute) // the retries
		}
		count := func() int {
			recorded.mu.Lock()
			defer recorded.mu.Unlock()
			return len(recorded.lines)
		}
		minute(3)
		before := count()
		minute(12)
		if n := count() - before; n > 450 {
			t.Errorf("720 events with 6 handlers log %d lines", n)
		}
		s.broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: "p.busylogs"}, kerr.MessageTooLarge)
		before = count()
		minute(5) // all are parked
		if n := count() - before; n > 150 {
			t.Errorf("300 events that are parked log %d lines", n)
		}

		recorded.mu.Lock()
		defer recorded.mu.Unlock()
		leftOut, infos := false, 0
		messages := map[string]bool{}
		for _, line := range recorded.lines {
			messages[line.message] = true
			if line.level == slog.LevelInfo {
				infos++
			}
			if n := line.attrs["left_out"]; n != "" && n != "0" {
				leftOut = true
			}
			if len(line.twice) > 0 {
				t.Errorf("%q has attributes twice: %v", line.message, line.twice)
			}
			for name, value := range line.attrs {
				if !slices.Contains(logWords, name) {
					t.Errorf("%q has an attribute %s", line.message, name)
				}
				if strings.Contains(value, "secret") {
					t.Errorf("%q logs %s=%s", line.message, name, value)
				}
			}
			if strings.Contains(line.message, "secret") {
				t.Errorf("%q", line.message)
			}
			if line.attrs["handler"] != "" {
				for _, name := range []string{"consumer_group", "topic", "partition", "offset"} {
					if _, ok := line.attrs[name]; !ok {
						t.Errorf("%q has a handler and no %s", line.message, name)
					}
				}
			}
		}
		if infos > 20 {
			t.Errorf("%d lines at Info", infos)
		}
		if !leftOut {
			t.Error("no line says how many were left out")
		}
		for _, part := range []string{"discarded", "a letter of the event", "blocks its partition", "is tried again", "it is parked"} {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(messages)), func(m string) bool { return strings.Contains(m, part) }) {
				t.Errorf("nothing is logged of: %s", part)
			}
		}
	})
}
