//go:build synctests

package events_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Failures that are nobody's event have categories.
func TestErrorCategories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		topic := eventmodels.BindTopic[shipment]("categories")
		cache := eventmodels.BindTopic[shipment]("categories.cache")
		link := s.network.Dialer("reader")
		lib, _ := s.library(func(lib *eventsqlite.Library) {
			lib.SetDialer(link.DialContext)
			lib.ConsumeIdempotent(events.NewConsumerGroup("categories"), eventmodels.OnFailureDiscard, "h", topic.Handler(
				func(context.Context, eventmodels.Event[shipment]) error { return nil }))
			lib.ConsumeBroadcast("cache", cache.Handler(func(context.Context, eventmodels.Event[shipment]) error { return nil }))
		})
		lib.StartConsumingOrPanic(t.Context())
		other, _ := s.library(func(*eventsqlite.Library) {})
		counts := func(category string) float64 { return testutil.ToFloat64(events.ErrorCounts.WithLabelValues(category)) }
		moves := func(category string, cause func()) {
			t.Helper()
			before := counts(category)
			cause()
			if counts(category) <= before {
				t.Errorf("%s has not moved", category)
			}
		}
		while := func(request kmsg.Key, topic string, err *kerr.Error) func() {
			return func() {
				f := s.broker.Fail(eventembed.Match{Requests: []kmsg.Key{request}, Topic: topic}, err)
				s.produce(other, eventmodels.BindTopic[shipment]("categories").Event("k", shipment{}))
				time.Sleep(time.Minute)
				f.Remove()
				time.Sleep(time.Minute)
			}
		}
		moves("commit", while(kmsg.OffsetCommit, "", kerr.UnknownServerError))
		moves("consumer-lag", while(kmsg.ListOffsets, "", kerr.UnknownServerError))
		moves("broadcast-heartbeat", while(kmsg.Produce, "broadcast-heartbeat", kerr.TopicAuthorizationFailed))
		moves("group-session", while(kmsg.Heartbeat, "", kerr.GroupAuthorizationFailed))
		if n := testutil.ToFloat64(events.Rebalances.WithLabelValues("categories", "lost")); n == 0 {
			t.Error("no partitions were lost")
		}
		gaps := events.BroadcastGaps.WithLabelValues("categories.cache")
		s.are("before the gap", map[prometheus.Metric]float64{gaps: 0})
		moves("broadcast-gap", func() {
			link.Cut()
			for range 3 {
				s.produce(other, cache.Event("k", shipment{}))
			}
			for partition := range int32(2) {
				if err := s.broker.DeleteRecords("categories.cache", partition, -1); err != nil {
					t.Fatal(err)
				}
			}
			link.Restore()
			time.Sleep(time.Minute)
		})
		s.are("behind the gap", map[prometheus.Metric]float64{gaps: 1})
		moves("topic-gap", func() {
			link.Cut()
			for range 3 {
				s.produce(other, topic.Event("k", shipment{}))
			}
			for partition := range int32(2) {
				if err := s.broker.DeleteRecords("categories", partition, -1); err != nil {
					t.Fatal(err)
				}
			}
			link.Restore()
			s.produce(other, topic.Event("k", shipment{}))
			time.Sleep(time.Minute)
		})
		moves("topic-recreated", func() {
			if err := s.broker.DeleteTopic("categories"); err != nil {
				t.Fatal(err)
			}
			if err := s.broker.CreateTopic("categories", 2, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		})
		moves("start-consuming", func() {
			late, _ := s.library(func(lib *eventsqlite.Library) {
				lib.ConsumeIdempotent(events.NewConsumerGroup("late"), eventmodels.OnFailureDiscard, "h", eventmodels.BindTopic[shipment]("categories.late").Handler(
					func(context.Context, eventmodels.Event[shipment]) error { return nil }))
			})
			f := s.broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.CreateTopics}}, kerr.ClusterAuthorizationFailed)
			if _, _, err := late.StartConsuming(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			f.Remove()
			time.Sleep(time.Minute)
		})
	})
}

// allowedLabels are the labels that metrics may have: names that the service's
// code has chosen, numbers of partitions, and fixed words.
var allowedLabels = []string{"topic", "consumer_group", "handler_name", "partition", "category", "change", "method", "produce_method", "reason", "result", "scope", "tx_produce_error", "le"}
