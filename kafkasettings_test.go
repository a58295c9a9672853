package events_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventsqlite"
)

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
