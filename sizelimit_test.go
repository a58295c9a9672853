package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

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

// A topic that takes more than Kafka's default takes large events from the first
// transaction on that comes when its limit is known; also after it was created
// anew, which makes its limit unknown.
func TestLimitBeyondTheDefault(t *testing.T) {
	broker := embedded(t)
	s := newSettled(t, broker.Addrs(), "", func(*settled) {}) // the topic is not announced
	create := func() {
		t.Helper()
		if err := broker.CreateTopic(s.prefix+"settled", 1, map[string]string{"max.message.bytes": "4000000"}); err != nil {
			t.Fatal(err)
		}
	}
	create()
	large := strings.Repeat("x", 2<<20)
	accepted := func() bool {
		err := s.transact(large)
		var big *events.TooBigError
		if err != nil && (!errors.As(err, &big) || big.Limit != 1048588) {
			t.Fatal(err)
		}
		return err == nil
	}
	await(t, "a large event to be accepted", accepted)
	s.relay(t)
	s.produce(t, "small")
	if err := broker.DeleteTopic(s.prefix + "settled"); err != nil {
		t.Fatal(err)
	}
	create()
	s.produce(t, "small") // learns that it is another topic
	await(t, "a large event to be accepted of the new topic", accepted)
}
