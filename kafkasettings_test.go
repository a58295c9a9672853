package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// settled is a Library of a test, on a database of its own.
type settled struct {
	*eventsqlite.Library
	db     *eventsqlite.DB
	prefix string
	log    lockedBuffer
}

var settledTopic = eventsqlite.BindTopic[string]("settled")

// newSettled makes a Library that setup may change; with a prefix it is
// another process of the same service.
func newSettled(t *testing.T, brokers []string, prefix string, setup func(*settled)) *settled {
	t.Helper()
	s := &settled{Library: eventsqlite.NewLibrary(), prefix: prefix}
	if prefix == "" {
		s.prefix = "s" + uuid.NewString()[:8] + "."
	}
	var err error
	if s.db, err = eventsqlite.Open(context.Background(), filepath.Join(t.TempDir(), "events.db"), eventsqlite.WithMigrate()); err != nil {
		t.Fatal(err)
	}
	s.SkipNotifierSupport()
	s.SetPrefix(s.prefix)
	s.SetLogger(slog.New(slog.NewTextHandler(&s.log, nil)))
	setup(s)
	s.Configure(s.db, nil, false, nil, nil, brokers)
	t.Cleanup(func() {
		s.shutdown(t)
		s.db.Close()
	})
	return s
}

func (s *settled) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func (s *settled) start(t *testing.T) *settled {
	t.Helper()
	started, _, err := s.StartConsuming(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	awaitDone(t, started, "consuming")
	return s
}

func (s *settled) relay(t *testing.T) {
	t.Helper()
	if _, err := s.CatchUpProduce(context.Background(), 50*time.Millisecond, 500); err != nil {
		t.Fatal(err)
	}
}

func (s *settled) produce(t *testing.T, bodies ...string) {
	t.Helper()
	evs := make([]eventmodels.ProducingEvent, len(bodies))
	for i, b := range bodies {
		evs[i] = settledTopic.Event("k", b)
	}
	if err := s.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
		t.Fatal(err)
	}
}

func (s *settled) transact(bodies ...string) error {
	return s.db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
		for _, b := range bodies {
			tx.Produce(timed(b))
		}
		return nil
	})
}

// timed is an event whose size does not depend on the time.
func timed(body string) eventmodels.ProducingEvent {
	return settledTopic.Event("k", body).Time(time.Unix(1_700_000_000, 0))
}

// consume adds a handler that tells what it gets.
func (s *settled) consume(group string, opts ...events.HandlerOpt) <-chan string {
	got := make(chan string, 100)
	s.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, "h", settledTopic.Handler(
		func(_ context.Context, e eventmodels.Event[string]) error { got <- e.Payload; return nil }), opts...)
	return got
}

func next(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case v := <-got:
		return v
	case <-time.After(time.Minute):
		t.Fatal("waited a minute for an event")
		return ""
	}
}

// Marks are deleted when the retention that was set is over, and no sooner.
func TestMarkRetention(t *testing.T) {
	s := newSettled(t, embedded(t).Addrs(), "", func(s *settled) {
		s.SetMarkRetention(time.Hour)
		s.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", settledTopic.HandlerTx(
			func(context.Context, *eventsqlite.Tx, eventmodels.Event[string]) error { return nil }))
	})
	ctx := context.Background()
	marks := func() (ids []string) {
		if err := s.db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT CAST(k AS TEXT) FROM events_marks ORDER BY k`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return rows.Err()
		}); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for id, age := range map[string]time.Duration{"older-than-one-h": 61 * time.Minute, "newer-than-one-h": 55 * time.Minute} {
		if err := s.db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO events_marks (k, done_at) VALUES (?, ?)`, []byte(id), time.Now().Add(-age).UnixMicro())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	for deadline := time.Now().Add(time.Minute); len(marks()) > 1; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("marks after a minute: %v", marks())
		}
	}
	if got := marks(); !slices.Equal(got, []string{"newer-than-one-h"}) {
		t.Errorf("marks %v", got)
	}
}

// onBoth runs a test on the embedded broker and on Kafka.
func onBoth(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t).Addrs()) })
	t.Run("kafka", func(t *testing.T) { test(t, kafkaBrokers(t)) })
}

func raw(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestSettingsArePanicky(t *testing.T) {
	for name, set := range map[string]func(*events.LibraryNoDB){
		"no instance id":     func(l *events.LibraryNoDB) { l.SetStaticMembership("") },
		"instance id":        func(l *events.LibraryNoDB) { l.SetStaticMembership("a b") },
		"unknown codec":      func(l *events.LibraryNoDB) { l.SetCompression("brotli") },
		"no retention":       func(l *events.LibraryNoDB) { l.SetMarkRetention(0) },
		"negative lower cap": func(l *events.LibraryNoDB) { l.SetSizeCapLowerLimit(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			set(&eventsqlite.NewLibrary().LibraryNoDB)
		})
	}
}

// Fetches carry the rack.
func TestClientRack(t *testing.T) {
	broker := embedded(t)
	racks := make(chan string, 1000)
	broker.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.Fetch}, When: func(r kmsg.Request) bool {
		select {
		case racks <- r.(*kmsg.FetchRequest).Rack:
		default:
		}
		return true
	}})
	var got <-chan string
	s := newSettled(t, broker.Addrs(), "", func(s *settled) {
		s.SetClientRack("zone-a")
		got = s.consume("g")
	}).start(t)
	s.produce(t, "a")
	next(t, got)
	if rack := next(t, racks); rack != "zone-a" {
		t.Errorf("rack %q", rack)
	}
}

// A static member that is back in time gets its partitions back, and nobody
// notices.
func TestStaticMembership(t *testing.T) {
	brokers := kafkaBrokers(t)
	admin := kadm.NewClient(raw(t, brokers))
	var got <-chan string
	setup := func(s *settled) {
		s.SetStaticMembership("pod-0")
		got = s.consume("g")
	}
	s := newSettled(t, brokers, "", setup).start(t)
	s.produce(t, "a")
	next(t, got)
	describe := func() (member, instance string) {
		described, err := admin.DescribeGroups(context.Background(), s.prefix+"g")
		if err != nil {
			t.Fatal(err)
		}
		members := described[s.prefix+"g"].Members
		if len(members) != 1 || members[0].InstanceID == nil {
			t.Fatalf("members %+v", members)
		}
		return members[0].MemberID, *members[0].InstanceID
	}
	before, instance := describe()
	if instance != "pod-0" {
		t.Errorf("instance id %q", instance)
	}
	s.shutdown(t)
	if gone, _ := describe(); gone != before {
		t.Error("the static member has left")
	}
	again := newSettled(t, brokers, s.prefix, setup).start(t)
	again.produce(t, "b")
	if b := next(t, got); b != "b" {
		t.Errorf("after the restart: %q", b)
	}
	if after, _ := describe(); after == before {
		t.Error("the member that is back has the old one's id: nothing was seen of it")
	}
}

// What is stored has the codec, whichever way it came.
func TestCompression(t *testing.T) {
	const attributes = 0x7 // the codec's bits
	onBoth(t, func(t *testing.T, brokers []string) {
		for codec, want := range map[events.Compression]uint8{
			events.CompressionNone: 0, events.CompressionGzip: 1, events.CompressionSnappy: 2, events.CompressionLZ4: 3, events.CompressionZstd: 4,
		} {
			s := newSettled(t, brokers, "", func(s *settled) { s.SetCompression(codec) })
			s.produce(t, strings.Repeat("immediate ", 1000))
			s.relay(t)
			if err := s.transact(strings.Repeat("transaction ", 1000)); err != nil {
				t.Fatal(err)
			}
			reader := raw(t, brokers, kgo.ConsumeTopics(s.prefix+"settled"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for n := 0; n < 2; {
				for _, r := range reader.PollFetches(ctx).Records() {
					n++
					if got := r.Attrs.CompressionType() & attributes; got != want {
						t.Errorf("%s: stored with codec %d, want %d: %.12s", codec, got, want, r.Value)
					}
				}
				if ctx.Err() != nil {
					t.Fatal("waited a minute for both events")
				}
			}
		}
	})
}

// An event exactly at the topic's limit goes through, also among others; one
// byte more is refused where it is produced, with the limit.
func TestSizeLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		const limit = 5000
		var got <-chan string
		s := newSettled(t, brokers, "", func(s *settled) {
			s.SetTopicConfig(kafka.TopicConfig{Topic: "settled", NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: []kafka.ConfigEntry{
				{ConfigName: "max.message.bytes", ConfigValue: fmt.Sprint(limit)},
			}})
			s.SetCompression(events.CompressionNone)
			got = s.consume("g")
		}).start(t)
		s.produce(t, "first") // the limit is known then
		next(t, got)
		s.relay(t)
		immediate := func(bodies ...string) error {
			evs := make([]eventmodels.ProducingEvent, len(bodies))
			for i, b := range bodies {
				evs[i] = timed(b)
			}
			return s.Produce(context.Background(), eventmodels.ProduceImmediate, evs...)
		}
		for way, produce := range map[string]func(...string) error{"immediate": immediate, "transaction": s.transact} {
			var big *events.TooBigError
			err := produce(strings.Repeat("x", limit))
			if !errors.As(err, &big) || !errors.Is(err, events.ErrTooBig) || big.Limit != limit || !strings.Contains(err.Error(), fmt.Sprint(limit)) {
				t.Fatalf("%s: %v", way, err)
			}
			fits := limit - (big.Size - limit) // a body whose batch is as large as the limit, or nearly: the lengths' own lengths
			for errors.Is(produce(strings.Repeat("x", fits)), events.ErrTooBig) {
				fits--
			}
			next(t, got)
			for !errors.Is(produce(strings.Repeat("x", fits+1)), events.ErrTooBig) {
				next(t, got)
				fits++
			}
			err = produce(strings.Repeat("x", fits+1))
			if !errors.As(err, &big) || big.Size != limit+1 || big.Limit != limit {
				t.Errorf("%s, one byte more: %v", way, err)
			}
			bodies := []string{"small", strings.Repeat("x", fits), "small", strings.Repeat("y", fits), "small"}
			if err := produce(bodies...); err != nil {
				t.Fatalf("%s, at the limit among others: %v", way, err)
			}
			arrived := make([]string, len(bodies))
			for i := range arrived {
				arrived[i] = next(t, got)
			}
			slices.Sort(arrived)
			slices.Sort(bodies)
			if !slices.Equal(arrived, bodies) {
				t.Errorf("%s: others arrived than were produced", way)
			}
		}
	})
}

// Where the brokers do not tell the limit the lower limit is taken, and the
// broker decides.
func TestSizeCapLowerLimit(t *testing.T) {
	for _, floor := range []int64{0, 3 << 20} {
		broker, err := eventembed.Start(eventembed.Config("message.max.bytes", fmt.Sprint(4<<20)))
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
		broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}}, kerr.ClusterAuthorizationFailed)
		s := newSettled(t, broker.Addrs(), "", func(s *settled) { s.SetSizeCapLowerLimit(floor) })
		s.produce(t, "first")
		s.relay(t)
		large := strings.Repeat("x", 2<<20)
		for way, err := range map[string]error{
			"immediate":   s.Produce(context.Background(), eventmodels.ProduceImmediate, settledTopic.Event("k", large)),
			"transaction": s.transact(large),
		} {
			if floor == 0 && !errors.Is(err, events.ErrTooBig) || floor > 0 && err != nil {
				t.Errorf("%s, lower limit %d: %v", way, floor, err)
			}
		}
	}
}

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

// Exactly-once handlers of a topic that is kept longer than their marks are
// warned of once, and a broker that does not tell costs nothing.
func TestRetentionWarning(t *testing.T) {
	days := func(n int) string { return fmt.Sprint((time.Duration(n) * 24 * time.Hour).Milliseconds()) }
	for _, refuse := range []bool{false, true} {
		broker := embedded(t)
		if refuse {
			broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}}, kerr.ClusterAuthorizationFailed)
		}
		s := newSettled(t, broker.Addrs(), "", func(s *settled) {
			s.SetLogger(slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			for _, topic := range []struct{ name, retention string }{{"short", days(30)}, {"long", days(31)}, {"eternal", "-1"}} {
				s.SetTopicConfig(kafka.TopicConfig{Topic: topic.name, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: topic.retention}}})
				for _, h := range []string{"a", "b"} {
					s.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, h, eventsqlite.BindTopic[string](topic.name).HandlerTx(
						func(context.Context, *eventsqlite.Tx, eventmodels.Event[string]) error { return nil }))
				}
			}
		}).start(t)
		warning, unknown := "kept longer than the marks", "do not tell how long events are kept"
		lines := func(text string) (topics []string) {
			for line := range strings.Lines(s.log.String()) {
				if _, topic, ok := strings.Cut(line, "topic="); ok && strings.Contains(line, text) {
					topics = append(topics, strings.Fields(topic)[0])
				}
			}
			return topics
		}
		last := warning
		if refuse {
			last = unknown
		}
		for deadline := time.Now().Add(time.Minute); !slices.Contains(lines(last), "eternal"); <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("refused %t: no answer after a minute; log:\n%s", refuse, s.log.String())
			}
		}
		s.shutdown(t)
		want := map[bool][]string{false: {"long", "eternal"}, true: nil}[refuse]
		if got := lines(warning); !slices.Equal(got, want) {
			t.Errorf("refused %t: warned of %v, want %v", refuse, got, want)
		}
		if log := s.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("errors:\n%s", log)
		}
	}
}
