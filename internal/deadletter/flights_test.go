package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
	"github.com/seed46dd6f11/events/internal/mark"
)

func TestNextWait(t *testing.T) {
	s := backoff.Schedule{Min: time.Minute, Max: 30 * time.Minute}
	for _, test := range []struct{ waited, want time.Duration }{
		{0, time.Minute},
		{-time.Hour, time.Minute},
		{time.Second, time.Minute},
		{time.Minute, 2 * time.Minute},
		{54 * time.Second, 108 * time.Second},
		{16 * time.Minute, 30 * time.Minute},
		{30 * time.Minute, 30 * time.Minute},
		{1<<63 - 1, 30 * time.Minute},
	} {
		if got := nextWait(s, test.waited, 0); got != test.want {
			t.Errorf("after %v: %v, want %v", test.waited, got, test.want)
		}
	}
	if got := nextWait(DefaultBackoff, 0, 1); got != 54*time.Second {
		t.Errorf("with jitter: %v", got)
	}
}

func newTestWriter(t *testing.T, log *storedLog) (*Writer, *Handler) {
	h := &Handler{Identity: mark.Handler{Prefix: "p.", Group: "g", Name: "h", BaseTopic: "orders"}, Topic: topic, Mode: letters.Retry}
	x := NewIndex(log)
	x.SetWake(func(kafka.TopicPartition, int64) {})
	w := NewWriter(WriterConfig{
		Producer: log, Index: x, Backoff: backoff.Schedule{Min: time.Minute, Max: time.Hour}, Instance: "i",
		Ensure:   func(context.Context, []kafka.WireTopic) error { return nil },
		Handlers: map[EngineHandler]*Handler{{"p.orders", "h"}: h, {topic, "h (letters)"}: h},
	})
	t.Cleanup(w.Close)
	return w, h
}

var errOften = errors.New("it does not work")

func failed(r *kafka.Record, handler string, err error) *delivery.Outgoing {
	now := time.Unix(1_800_000_000, 0)
	return &delivery.Outgoing{Handler: &delivery.Handler{Name: handler, WireTopic: kafka.WireTopic(r.Topic)}, Record: r, Err: err, Attempts: 2, First: now, Last: now.Add(time.Second)}
}

func (l *storedLog) last(t *testing.T) (letters.Header, *kafka.Record) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.records[len(l.records)-1]
	h, _, err := letters.Parse(r.Headers)
	if err != nil {
		t.Fatal(err)
	}
	return h, r
}

// What follows what, for each outcome of a run and of a wait.
func TestWriterFollows(t *testing.T) {
	log := &storedLog{}
	w, _ := newTestWriter(t, log)
	sink := func(o *delivery.Outgoing) (letters.Header, *kafka.Record) {
		t.Helper()
		if err := w.Sink(context.Background(), []*delivery.Outgoing{o})[0]; err != nil {
			t.Fatal(err)
		}
		return log.last(t)
	}
	event := &kafka.Record{Topic: "p.orders", Partition: 3, Offset: 9, Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(5)}
	first, r := sink(failed(event, "h", errOften))
	if want := mark.OfOrigin(mark.Handler{Prefix: "p.", Group: "g", Name: "h", BaseTopic: "orders"}, mark.Origin{Topic: "p.orders", Partition: 3, Offset: 9, Timestamp: event.Timestamp}); first.ID != want {
		t.Errorf("the id is %x, want the mark %x", first.ID, want)
	}
	if first.Kind != letters.Letter || first.Follows != letters.NoRecord || first.Attempts != 2 || first.NotBefore.Sub(first.Last) != time.Minute || first.Origin.Offset != 9 || string(r.Value) != "v" {
		t.Errorf("the letter is %+v", first)
	}
	second, r2 := sink(failed(r, "h (letters)", eventmodels.RetryAfter(errOften, 5*time.Hour)))
	if second.ID != first.ID || second.Follows != r.Offset || second.Attempts != 4 || !second.First.Equal(first.First) || second.NotBefore.Sub(second.Last) != 5*time.Hour || second.Origin != first.Origin {
		t.Errorf("the next letter is %+v", second)
	}
	note := func(r *kafka.Record, handler string, o outcome) *delivery.Outgoing {
		return &delivery.Outgoing{Handler: &delivery.Handler{Name: handler, WireTopic: topic}, Record: r, Note: o}
	}
	moved, r3 := sink(note(r2, "(other handlers)", outcome{kind: letters.Copy}))
	want := second
	want.Kind, want.Follows = letters.Copy, r2.Offset
	if fmt.Sprint(moved) != fmt.Sprint(want) || string(r3.Value) != "v" || !moved.EventTime(r3).Equal(event.Timestamp) {
		t.Errorf("the copy is\n%+v, want\n%+v", moved, want)
	}
	again, r4 := sink(note(r3, "h (letters)", outcome{kind: letters.Copy}))
	if again.Kind != letters.Copy || again.Follows != r3.Offset {
		t.Errorf("the copy of the copy is %+v", again)
	}
	replay := letters.Header{Kind: letters.Replay, ID: first.ID, Group: "g", Handler: "h", Topic: "orders", Follows: r4.Offset, Replay: "r1", By: "me", Attempts: 4, First: first.First, Origin: first.Origin}
	r5 := replay.Record(place, r4)
	r5.Partition, r5.Offset = 0, log.append(replay)
	kept, _ := sink(note(r5, "(other handlers)", outcome{kind: letters.Copy}))
	if kept.Kind != letters.Replay || kept.Replay != "r1" || kept.By != "me" || kept.Follows != r5.Offset {
		t.Errorf("a replay that waits becomes %+v", kept)
	}
	refused, _ := sink(failed(r5, "h (letters)", errOften))
	if refused.Kind != letters.Letter || refused.Replay != "r1" || refused.By != "" || refused.Attempts != 6 || refused.Follows != r5.Offset {
		t.Errorf("a replay that fails becomes %+v", refused)
	}
	done, r6 := sink(note(r5, "h (letters)", outcome{kind: letters.Done, attempts: 1, took: time.Second}))
	if done.Kind != letters.Done || done.Replay != "r1" || done.Attempts != 5 || done.Took != time.Second || r6.Value != nil || string(r6.Key) != "k" {
		t.Errorf("a success becomes %+v", done)
	}
}

// What the brokers do not acknowledge in time is not sent again while it is on
// its way, and does not keep the others.
func TestWriterSendsOnce(t *testing.T) {
	log := &storedLog{}
	w, _ := newTestWriter(t, log)
	release := make(chan struct{})
	log.produce = func(_ context.Context, r *kafka.Record) error {
		if string(r.Key) == "slow" {
			<-release
		}
		return nil
	}
	slow := failed(&kafka.Record{Topic: "p.orders", Key: []byte("slow")}, "h", errOften)
	quick := failed(&kafka.Record{Topic: "p.orders", Offset: 1}, "h", errOften)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 {
		if errs := w.Sink(ctx, []*delivery.Outgoing{slow}); !errors.Is(errs[0], context.Canceled) {
			t.Errorf("on its way: %v", errs)
		}
	}
	if errs := w.Sink(context.Background(), []*delivery.Outgoing{quick}); errs[0] != nil {
		t.Error(errs)
	}
	close(release)
	if errs := w.Sink(context.Background(), []*delivery.Outgoing{slow}); errs[0] != nil {
		t.Error(errs)
	}
	if log.produced != 2 || len(log.records) != 2 || len(w.flights) != 0 {
		t.Errorf("%d records were produced, %d are in flight", log.produced, len(w.flights))
	}
}

// After an outage, however long, what has arrived waits for the call that asks
// for it, and is not sent again; what nobody asks for is forgotten.
func TestWriterSendsOnceAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &storedLog{}
		w, _ := newTestWriter(t, log)
		release := make(chan struct{})
		log.produce = func(_ context.Context, r *kafka.Record) error {
			if string(r.Key) == "slow" {
				<-release
			}
			return nil
		}
		var slow []*delivery.Outgoing
		for offset := range int64(3) {
			slow = append(slow, failed(&kafka.Record{Topic: "p.orders", Offset: offset, Key: []byte("slow")}, "h", errOften))
		}
		sink := func(out ...*delivery.Outgoing) []error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return w.Sink(ctx, out)
		}
		sink(slow...)
		time.Sleep(time.Hour)
		close(release)
		synctest.Wait()
		for _, o := range slow[:2] { // one after the other, as their turns to be handed over again come
			if errs := sink(o); errs[0] != nil {
				t.Error(errs)
			}
			time.Sleep(5 * time.Second)
		}
		if log.produced != 3 || len(w.flights) != 1 {
			t.Errorf("%d records were produced, %d are in flight", log.produced, len(w.flights))
		}
		time.Sleep(2 * time.Minute)
		sink(failed(&kafka.Record{Topic: "p.orders", Offset: 9}, "h", errOften))
		if len(w.flights) != 0 {
			t.Errorf("%d are in flight", len(w.flights))
		}
	})
}

// A letter that is too large is tried with less text; one that never fits, or
// has no topic, is an error, and tried anew the next time.
func TestWriterShortens(t *testing.T) {
	log := &storedLog{}
	w, _ := newTestWriter(t, log)
	room := 100
	var sizes []int
	log.produce = func(_ context.Context, r *kafka.Record) error {
		h, _, _ := letters.Parse(r.Headers)
		sizes = append(sizes, len(h.Error))
		if len(h.Error) > room {
			return &kafka.TooBigError{Topic: topic}
		}
		return nil
	}
	o := failed(&kafka.Record{Topic: "p.orders"}, "h", errors.New(strings.Repeat("x", 10_000)))
	if errs := w.Sink(context.Background(), []*delivery.Outgoing{o}); errs[0] != nil || fmt.Sprint(sizes) != "[4000 200 0]" {
		t.Errorf("%v, tried with %v", errs, sizes)
	}
	room, sizes = -1, nil
	for range 2 {
		if errs := w.Sink(context.Background(), []*delivery.Outgoing{o}); !errors.Is(errs[0], kafka.ErrTooBig) {
			t.Errorf("no room at all: %v", errs)
		}
	}
	if len(sizes) != 6 {
		t.Errorf("tried with %v", sizes)
	}
	unknown := failed(&kafka.Record{Topic: "p.audit"}, "h", errOften)
	if errs := w.Sink(context.Background(), []*delivery.Outgoing{unknown}); errs[0] == nil {
		t.Error("a handler without dead-letter topic has a letter")
	}
}
