package eventtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/letters"
	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// However a handler fails, its event has one letter, with the attempts that
// were made, and the others have none.
func (s *suite[ID, TX, DB]) letterFailures(t *testing.T) {
	short := events.WithTimeout(250 * time.Millisecond)
	ways := []struct {
		name  string
		opts  []events.HandlerOpt
		bad   func(ctx context.Context, attempt int) error
		exact int    // attempts, 0: at least two
		says  string // what the letter's error says; "": there is no letter
	}{
		{"fails-twice", []events.HandlerOpt{quickly}, func(_ context.Context, attempt int) error {
			if attempt < 3 {
				return errTest
			}
			return nil
		}, 3, ""},
		{"always-fails", []events.HandlerOpt{quickly, short}, func(context.Context, int) error { return errTest }, 0, errTest.Error()},
		{"fails-once-for-all", []events.HandlerOpt{events.WithRetrying(false)}, func(context.Context, int) error { return errTest }, 1, errTest.Error()},
		{"gives-up", nil, func(_ context.Context, attempt int) error {
			if attempt < 2 {
				return eventmodels.RetryAfter(errTest, time.Millisecond)
			}
			return givenUp
		}, 2, errTest.Error()},
		{"panics", []events.HandlerOpt{events.WithRetrying(false)}, func(context.Context, int) error { panic("test panic") }, 1, "test panic"},
		{"hangs", []events.HandlerOpt{quickly, short}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}, 1, eventmodels.TimeoutErr.Error()},
	}
	for _, onFailure := range []eventmodels.OnFailure{save, later} {
		t.Run(onFailure.String(), func(t *testing.T) {
			w := s.world(t)
			kafka := w.cluster()
			kafka.create("orders", 1, nil)
			attempts := make([]*seen[order], len(ways))
			c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
				lib.SetDeadLetterBackoff(time.Hour, time.Hour)
				for i, way := range ways {
					attempts[i] = newSeen[order]()
					lib.ConsumeIdempotent(events.NewConsumerGroup(way.name), onFailure, way.name, orders.Handler(func(ctx context.Context, e eventmodels.Event[order]) error {
						attempts[i].add(e)
						if e.Payload.N == 1 {
							return way.bad(ctx, e.Attempt)
						}
						return nil
					}), way.opts...)
				}
			})
			began := time.Now().Add(-time.Second)
			c.produce(orders, 0, 3)
			for i, way := range ways {
				kafka.awaitNoLag(way.name, "orders")
				made := times(attempts[i].all())
				if made[0] != 1 || made[2] != 1 || way.exact > 0 && made[1] != way.exact || way.exact == 0 && made[1] < 2 {
					t.Errorf("%s: calls by order: %v", way.name, made)
				}
				all := kafka.letters("orders." + way.name + ".dead-letter")
				if way.says == "" {
					if len(all) != 0 {
						t.Errorf("%s has %d letters", way.name, len(all))
					}
					continue
				}
				if len(all) != 1 {
					t.Errorf("%s has %d letters", way.name, len(all))
					continue
				}
				l := all[0]
				mode := letters.Save
				if onFailure == later {
					mode = letters.Retry
				}
				if l.Kind != letters.Letter || l.Follows != letters.NoRecord || l.Mode != mode || l.Group != way.name || l.Handler != way.name || l.Header.Topic != "orders" {
					t.Errorf("%s: the letter is %+v", way.name, l.Header)
				}
				if !strings.Contains(l.Error, way.says) || l.Attempts != made[1] || len(l.Cause) != 16 || l.Instance == "" || l.Replay != "" {
					t.Errorf("%s: %d attempts were made; the letter is %+v", way.name, made[1], l.Header)
				}
				if l.Origin != (letters.Origin{Topic: w.prefix + "orders", Partition: 0, Offset: 1}) {
					t.Errorf("%s: the letter's event comes from %+v", way.name, l.Origin)
				}
				if l.First.Before(began) || l.Last.Before(l.First) || l.Last.After(time.Now()) ||
					mode == letters.Save && !l.NotBefore.IsZero() || mode == letters.Retry && (l.NotBefore.Sub(l.Last) > time.Hour || l.NotBefore.Sub(l.Last) < 50*time.Minute) {
					t.Errorf("%s: first %v, last %v, not before %v", way.name, l.First, l.Last, l.NotBefore)
				}
			}
		})
	}
}

// A letter keeps key, value, headers, time and id, and its topic keeps it for
// ever. A saved one is not run by itself.
func (s *suite[ID, TX, DB]) letterSaved(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	calls := newSeen[order]()
	register := lettered[ID, TX, DB](save, one(failing(calls, always)))
	c := w.libraryThat(true, func(lib *events.Library[ID, TX, DB]) {
		register(lib)
		lib.SetTopicConfig(announced("orders")) // the dead-letter topic needs no announcement
	})
	c.consume()
	sent := []*kgo.Record{
		kafka.send(kgo.Record{Topic: "orders", Key: []byte("a\x00\xff"), Value: []byte(`{"n": 1}`), Timestamp: time.Now().Add(-time.Hour).Truncate(time.Millisecond),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("id-1")}, {Key: "ce_source", Value: []byte("test")}, {Key: "x", Value: []byte{0, 255}}, {Key: "x", Value: nil}, {Key: "a", Value: []byte("z")}}}),
		kafka.send(kgo.Record{Topic: "orders", Key: nil, Value: []byte(`{"n": 2}`)}),
		kafka.send(kgo.Record{Topic: "orders", Key: []byte{}, Value: []byte(`no json`)}),
	}
	kafka.awaitNoLag("g", "orders")
	kafka.awaitNoLag("g", orderLetters)
	all := kafka.letters(orderLetters)
	if len(all) != len(sent) {
		t.Fatalf("%d letters", len(all))
	}
	original := kafka.records("orders")
	for _, l := range all {
		was := original[l.Origin.Offset]
		if !bytes.Equal(l.Key, was.Key) || (l.Key == nil) != (was.Key == nil) || !bytes.Equal(l.Value, was.Value) || !l.EventTime(l.Record).Equal(was.Timestamp) {
			t.Errorf("the event %+v has the letter %+v", was, l.Record)
		}
		if time.Since(l.Timestamp) > 30*time.Minute { // the first event is an hour old
			t.Errorf("the letter of %q says that it was appended at %v", l.Key, l.Timestamp)
		}
		if len(l.own) != len(was.Headers) {
			t.Errorf("the headers are %v, were %v", l.own, was.Headers)
			continue
		}
		for i, h := range was.Headers {
			if l.own[i].Key != h.Key || !bytes.Equal(l.own[i].Value, h.Value) {
				t.Errorf("the headers are %v, were %v", l.own, was.Headers)
			}
		}
	}
	if n := len(calls.all()); n != 2 { // what cannot be decoded does not reach it
		t.Errorf("%d calls", n)
	}
	ctx, cancel := within()
	defer cancel()
	configs, err := kafka.adm.DescribeTopicConfigs(ctx, w.prefix+orderLetters)
	kafka.must("describe the topic", err)
	got := make(map[string]string)
	for _, c := range configs[0].Configs {
		got[c.Key] = c.MaybeValue()
	}
	for key, want := range map[string]string{"retention.ms": "-1", "cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114124"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// A letter of an event as large as its topic allows is kept, and where there is
// little room the error's text is cut.
func (s *suite[ID, TX, DB]) letterAtTheLimit(t *testing.T) {
	const limit = 300_000
	for _, test := range []struct {
		name string
		room int // of the dead-letter topic, if it was there before
		// text is for how much of the error's text there is room beside the
		// letter's headers; -1: the event is as large as the limit.
		text    int
		written int // of the text
	}{
		{"own topic", 0, -1, 4000},
		{"little room", limit, 1000, 200},
		{"hardly any room", limit, 100, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := s.world(t)
			kafka := w.cluster(kgo.ProducerBatchMaxBytes(limit + 1000))
			size := func(n int) map[string]*string {
				return map[string]*string{"max.message.bytes": kadm.StringPtr(strconv.Itoa(n))}
			}
			kafka.create("orders", 1, size(limit))
			if test.room > 0 {
				kafka.create(orderLetters, 1, size(test.room))
			}
			w.consumer(lettered[ID, TX, DB](save, one(func(context.Context, eventmodels.Event[order]) error {
				return fmt.Errorf("%w: %s", givenUp, strings.Repeat("long ", 2000))
			})))
			r := kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte(`{"n": 1, "id": "`), Timestamp: time.Now(),
				Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("large")}, {Key: "ce_source", Value: []byte("test")}}}
			small := r
			small.Value = []byte(`{"n": 1}`)
			kafka.send(small)
			kafka.awaitNoLag("g", "orders")
			below := 0
			if test.text >= 0 {
				below = test.text
				for _, h := range kafka.letters(orderLetters)[0].Headers {
					if below += len(h.Key) + 2; h.Key != "events-letter-error" {
						below += len(h.Value)
					}
				}
			}
			batch := func() int {
				return recordbatch.BatchOverhead + recordbatch.RecordSize(recordbatch.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp,
					Headers: []recordbatch.Header{{Key: "ce_id", Value: []byte("large")}, {Key: "ce_source", Value: []byte("test")}}})
			}
			r.Value = append(r.Value, bytes.Repeat([]byte("x"), limit-2000)...)
			r.Value = append(r.Value, bytes.Repeat([]byte("x"), limit-batch()-below-len(`"}`))...)
			r.Value = append(r.Value, `"}`...)
			if got := batch(); got != limit-below {
				t.Fatalf("the event takes %d bytes", got)
			}
			kafka.send(r)
			kafka.awaitNoLag("g", "orders")
			all := kafka.letters(orderLetters)
			if len(all) != 2 || !bytes.Equal(all[1].Value, r.Value) {
				t.Fatalf("%d letters", len(all))
			}
			if n := len(all[1].Error); n != test.written {
				t.Errorf("%d bytes of the error's text are kept", n)
			}
		})
	}
}

// While a letter cannot be written the commit stays in front of its event,
// although everything behind it is done; nothing is lost.
func (s *suite[ID, TX, DB]) letterNotWritten(t *testing.T) {
	const bad, all = 10, 30
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	calls := newSeen[order]()
	c := w.consumer(lettered[ID, TX, DB](save, one(failing(calls, func(n int) bool { return n == bad }))))
	fault := s.h.Broker.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: w.prefix + orderLetters})
	defer fault.Remove()
	c.produce(orders, 0, all)
	ctx, cancel := within()
	defer cancel()
	if err := fault.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	calls.wait(t, all)
	kafka.awaitCommitted("g", "orders", 0, bad)
	c.abandons = true
	soon, stop := context.WithTimeout(context.Background(), 2*time.Second)
	_ = c.lib.Shutdown(soon) // it is said elsewhere what it returns
	stop()
	if at := kafka.committed("g", "orders")[0]; at != bad {
		t.Errorf("the shutdown has committed up to %d, want %d", at, bad)
	}
	fault.Remove()

	again := newSeen[order]()
	w.consumer(lettered[ID, TX, DB](save, one(failing(again, func(n int) bool { return n == bad }))))
	kafka.awaitNoLag("g", "orders")
	wantOnce(t, "after the restart", again.all(), bad, all)
	found := kafka.letters(orderLetters)
	for _, l := range found {
		if l.ID != found[0].ID || l.Origin.Offset != bad {
			t.Errorf("a letter of %+v", l.Origin)
		}
	}
	if state, _, _ := stateOf(found, "h", "key-10"); state != letters.Saved {
		t.Errorf("the letter is %v", state)
	}
}

// An event that is delivered again, and fails again, since a crash came before
// its offset was committed, has two letters with one id: they are one.
func (s *suite[ID, TX, DB]) letterWrittenTwice(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	calls := newSeen[order]()
	register := lettered[ID, TX, DB](save, one(failing(calls, always)))
	c := w.consumer(register)
	c.produce(orders, 0, 1)
	kafka.send(plain("orders", "without id", 0, 7))
	kafka.awaitNoLag("g", "orders")
	c.shutdown()
	ctx, cancel := within()
	defer cancel()
	_, err := kafka.adm.DeleteGroup(ctx, w.prefix+"g")
	kafka.must("delete group", err)
	c = w.consumer(register)
	kafka.awaitNoLag("g", "orders")
	all := kafka.letters(orderLetters)
	ids := make(map[string]int)
	for _, l := range all {
		ids[fmt.Sprint(string(l.Key), l.Partition, l.ID)]++
	}
	if len(all) != 4 || len(ids) != 2 {
		t.Errorf("%d letters: %v", len(all), ids)
	}
	// A replay of the one is the only one there is.
	c.shutdown()
	_, newest, _ := stateOf(all, "h", "without id")
	kafka.operate(letters.Replay, newest)
	well := newSeen[order]()
	w.consumer(lettered[ID, TX, DB](save, one(well.handle)))
	kafka.awaitState("h", "without id", letters.Finished)
	kafka.awaitNoLag("g", orderLetters)
	if n := len(well.all()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// Letters of handlers that fail while the Library shuts down are written, and
// their events committed, before the group is left.
func (s *suite[ID, TX, DB]) letterAtShutdown(t *testing.T) {
	w := s.world(t)
	kafka := w.cluster()
	kafka.create("orders", 1, nil)
	running, release := make(chan struct{}, 10), make(chan struct{})
	c := w.consumer(lettered[ID, TX, DB](save, one(func(context.Context, eventmodels.Event[order]) error {
		running <- struct{}{}
		<-release
		return givenUp
	})))
	c.produce(orders, 0, 5)
	for range 5 {
		await(t, running, "the handlers to run")
	}
	ended := make(chan struct{})
	go func() { defer close(ended); c.shutdown() }()
	select {
	case <-ended:
		t.Error("the shutdown has ended although handlers run")
	case <-time.After(300 * time.Millisecond):
	}
	close(release)
	await(t, ended, "the shutdown")
	kafka.awaitCommitted("g", "orders", 0, 5)
	var offsets []int64
	for _, l := range kafka.letters(orderLetters) {
		offsets = append(offsets, l.Origin.Offset)
	}
	if slices.Sort(offsets); !slices.Equal(offsets, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("letters of %v", offsets)
	}
}
