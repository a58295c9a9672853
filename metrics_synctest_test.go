//go:build synctests

package events_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// metricsScene is an embedded broker in a bubble of virtual time, and Libraries
// with databases of their own. Metrics are global, so each test has names of
// its own.
type metricsScene struct {
	t       *testing.T
	network *eventembed.Network
	broker  *eventembed.Broker
}

func newMetricsScene(t *testing.T) *metricsScene {
	broker, network := startInBubble(t)
	return &metricsScene{t: t, network: network, broker: broker}
}

// library makes a Library on the scene's broker. It is shut down at the test's
// end.
func (s *metricsScene) library(edit func(*eventsqlite.Library)) (*eventsqlite.Library, *eventsqlite.DB) {
	s.t.Helper()
	db, lib := openSQLite(s.t), sqliteOn(s.network)
	edit(lib)
	lib.Configure(db, nil, false, nil, nil, s.broker.Addrs())
	s.t.Cleanup(func() {
		limited, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = lib.Shutdown(limited) // with what still runs abandoned
	})
	return lib, db
}

func (s *metricsScene) produce(lib *eventsqlite.Library, all ...eventmodels.ProducingEvent) {
	s.t.Helper()
	if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, all...); err != nil {
		s.t.Fatal(err)
	}
}

// are compares metrics with what they have to be.
func (s *metricsScene) are(when string, want map[prometheus.Metric]float64) {
	s.t.Helper()
	synctest.Wait()
	for metric, value := range want {
		var m dto.Metric
		if err := metric.Write(&m); err != nil {
			s.t.Fatal(err)
		}
		if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != value {
			s.t.Errorf("%s: %v is %v, want %v", when, metric.Desc(), got, value)
		}
	}
}

// histogram returns the number of observations and their sum.
func (s *metricsScene) histogram(vec *prometheus.HistogramVec, labels ...string) (n uint64, sum float64) {
	s.t.Helper()
	var m dto.Metric
	if err := vec.WithLabelValues(labels...).(prometheus.Metric).Write(&m); err != nil {
		s.t.Fatal(err)
	}
	return m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum()
}

// What a handler does is counted and measured.
func TestHandlerMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		topic := eventmodels.BindTopic[shipment]("handlermetrics")
		lib, _ := s.library(func(lib *eventsqlite.Library) {
			lib.ConsumeIdempotent(events.NewConsumerGroup("handlermetrics"), eventmodels.OnFailureDiscard, "measured", topic.Handler(
				func(_ context.Context, e eventmodels.Event[shipment]) error {
					time.Sleep(2 * time.Second)
					switch {
					case e.Payload.N == 1 && e.Attempt == 1:
						panic("the first attempt")
					case e.Payload.N == 2:
						return eventmodels.SetErrorHandling(errors.New("no"), eventmodels.DoNotRetry)
					}
					return nil
				}), events.WithBackoff(time.Second, time.Second))
		})
		lib.StartConsumingOrPanic(t.Context())
		discarded := testutil.ToFloat64(events.ErrorCounts.WithLabelValues("event-discarded"))
		for n := range 3 { // fine at once, fine at the second attempt, given up
			s.produce(lib, topic.Event("k", shipment{n}).Time(time.Now().Add(-time.Minute)))
		}
		time.Sleep(time.Minute)
		s.are("afterwards", map[prometheus.Metric]float64{
			events.ProduceTopicCounts.WithLabelValues("handlermetrics", "immediate"):        3,
			events.ConsumeCounts.WithLabelValues("handlermetrics", "handlermetrics"):        3,
			events.HandlerSuccessCounts.WithLabelValues("measured", "handlermetrics"):       2,
			events.HandlerErrorCounts.WithLabelValues("measured", "handlermetrics"):         2,
			events.HandlerPanicCounts.WithLabelValues("measured", "handlermetrics"):         1,
			events.ErrorCounts.WithLabelValues("event-discarded"):                           discarded + 1,
			events.LongestHandlerLatency.WithLabelValues("measured", "handlermetrics"):      0,
			events.OverdueHandlers.WithLabelValues("measured", "handlermetrics"):            0,
			events.DeadLetterProduceCounts.WithLabelValues("measured", "handlermetrics"):    0,
			events.ProduceTopicCounts.WithLabelValues("handlermetrics", "catchUp"):          0,
			events.HandlerSuccessCounts.WithLabelValues("handlermetrics", "nobody's"):       0,
			events.BlockedPartitions.WithLabelValues("handlermetrics", "stuck"):             0,
			events.ConsumerLag.WithLabelValues("handlermetrics", "handlermetrics", "0"):     0,
			events.HandlerWaitingForActiveConcurrencyDemand.WithLabelValues("measured", ""): 0,
		})
		for _, h := range []struct {
			name     string
			vec      *prometheus.HistogramVec
			labels   []string
			n        uint64
			min, max float64
		}{
			// Four attempts of 2 s each; in one case up to a second between them.
			{"handler latency", events.HandlerLatency, []string{"measured", "handlermetrics"}, 4, 8, 8},
			{"ack latency", events.AckLatency, []string{"handlermetrics", "handlermetrics"}, 3, 8, 10},
			{"transmission latency", events.TransmissionLatency, []string{"handlermetrics", "handlermetrics"}, 3, 180, 183},
		} {
			if n, sum := s.histogram(h.vec, h.labels...); n != h.n || sum < h.min || sum > h.max {
				t.Errorf("%s: %d observations with the sum %v, want %d with %v to %v", h.name, n, sum, h.n, h.min, h.max)
			}
		}
	})
}

// What waits for a place to run, how long attempts run, and which of them
// outlive their timeout.
func TestRunningMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		topic := eventmodels.BindTopic[shipment]("runningmetrics")
		release := make(chan struct{})
		lib, _ := s.library(func(lib *eventsqlite.Library) {
			lib.SetMaxRunningHandlers(2)
			for _, name := range []string{"hung-1", "hung-2"} {
				lib.ConsumeIdempotent(events.NewConsumerGroup("runningmetrics"), eventmodels.OnFailureDiscard, name, topic.Handler(
					func(context.Context, eventmodels.Event[shipment]) error { <-release; return nil }), events.WithTimeout(time.Minute))
			}
		})
		lib.StartConsumingOrPanic(t.Context())
		overdue := testutil.ToFloat64(events.ErrorCounts.WithLabelValues("handler-overdue"))
		s.produce(lib, topic.Event("k", shipment{1}), topic.Event("k", shipment{2}), topic.Event("k", shipment{3}))
		waiting := events.HandlerWaitingForActiveConcurrencyDemand.WithLabelValues("hung-1", "runningmetrics")
		forSlot := events.HandlerWaitingForActiveConcurrencyLimit.WithLabelValues("hung-1", "runningmetrics")
		longest := events.LongestHandlerLatency.WithLabelValues("hung-1", "runningmetrics")
		late := events.OverdueHandlers.WithLabelValues("hung-1", "runningmetrics")

		time.Sleep(30 * time.Second)
		s.are("while both hang", map[prometheus.Metric]float64{waiting: 2, forSlot: 1, late: 0})
		if age := testutil.ToFloat64(longest); age < 28 || age > 30 {
			t.Errorf("after half a minute the longest attempt runs for %v s", age)
		}
		time.Sleep(time.Minute)
		s.are("behind the timeout", map[prometheus.Metric]float64{late: 1, events.ErrorCounts.WithLabelValues("handler-overdue"): overdue + 2})
		close(release)
		time.Sleep(time.Minute)
		s.are("when all is over", map[prometheus.Metric]float64{waiting: 0, forSlot: 0, longest: 0, late: 0})
	})
}

// Events are counted by how they were produced, and transactions by who sends
// what they have produced.
func TestProduceMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		topic := eventsqlite.BindTopic[shipment]("producemetrics")
		commit := func(db *eventsqlite.DB) {
			t.Helper()
			if err := db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
				tx.Produce(topic.Event("k", shipment{1}), topic.Event("k", shipment{2}))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		split := func() (n [3]float64) {
			for i, method := range []string{"relay", "sync", "lazy"} {
				n[i] = testutil.ToFloat64(events.ProduceFromTxSplit.WithLabelValues(method))
			}
			return n
		}
		before := split()
		_, onDemand := s.library(func(*eventsqlite.Library) {})
		commit(onDemand)
		_, lazily := s.library(func(lib *eventsqlite.Library) { lib.SetLazyTxProduce(true) })
		commit(lazily)
		relaying, db := s.library(func(lib *eventsqlite.Library) { lib.SetPrefix("other.") })
		if _, err := relaying.CatchUpProduce(context.Background(), time.Second, 100); err != nil {
			t.Fatal(err)
		}
		commit(db)
		time.Sleep(5 * time.Second)
		after := split()
		for i, method := range []string{"relay", "sync", "lazy"} {
			if n := after[i] - before[i]; n != 1 {
				t.Errorf("%s: %v transactions", method, n)
			}
		}
		s.are("afterwards", map[prometheus.Metric]float64{
			events.ProduceTopicCounts.WithLabelValues("producemetrics", "catchUp"):   4, // lazy ones wait for a relay
			events.ProduceTopicCounts.WithLabelValues("producemetrics", "immediate"): 0,
			events.RelayLeaseHeld.WithLabelValues("other."):                          1,
		})
		if n, _ := s.histogram(events.RelayLatency, "producemetrics"); n != 4 {
			t.Errorf("the latency of %d events was measured", n)
		}
	})
}

// Letters are counted when they are written, by why the event has failed, and
// when they are handed to a handler again.
func TestDeadLetterMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		topic := eventmodels.BindTopic[shipment]("lettermetrics")
		group := events.NewConsumerGroup("lettermetrics")
		failing := map[string]func(ctx context.Context) error{
			"error":   func(context.Context) error { return errors.New("order 4711: no") },
			"panic":   func(context.Context) error { panic("order 4711") },
			"timeout": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			"do-not-retry": func(context.Context) error {
				return eventmodels.SetErrorHandling(errors.New("no"), eventmodels.DoNotRetry)
			},
			"decode": func(context.Context) error { return eventmodels.ErrDecode },
		}
		lib, _ := s.library(func(lib *eventsqlite.Library) {
			for reason, fail := range failing {
				lib.ConsumeIdempotent(group, eventmodels.OnFailureSave, reason, topic.Handler(
					func(ctx context.Context, _ eventmodels.Event[shipment]) error { return fail(ctx) }), events.WithTimeout(10*time.Second))
			}
			letters := eventmodels.BindTopic[shipment](events.DeadLetterTopic("lettermetrics", group))
			lib.ConsumeIdempotent(events.NewConsumerGroup("letterwatch"), eventmodels.OnFailureDiscard, "watch", letters.Handler(
				func(context.Context, eventmodels.Event[shipment]) error { return nil }), events.IsDeadLetterHandler(true), events.WithBaseTopic("lettermetrics"))
		})
		lib.StartConsumingOrPanic(t.Context())
		want := make(map[prometheus.Metric]float64)
		for handler := range failing {
			for reason := range failing {
				want[events.DeadLetterReasons.WithLabelValues(handler, "lettermetrics", reason)] = 0
			}
		}
		s.are("before", want) // there, and 0
		s.produce(lib, topic.Event("k", shipment{1}))
		time.Sleep(time.Minute)
		for handler := range failing {
			want[events.DeadLetterReasons.WithLabelValues(handler, "lettermetrics", handler)] = 1
			want[events.DeadLetterProduceCounts.WithLabelValues(handler, "lettermetrics")] = 1
			want[events.DeadLetterConsumeCounts.WithLabelValues(handler, "lettermetrics")] = 0
		}
		want[events.DeadLetterConsumeCounts.WithLabelValues("watch", "lettermetrics")] = 5
		s.are("each has failed", want)

		letters := lib.DeadLetters(group)
		var panicked []events.Letter
		for l, err := range letters.List(context.Background(), events.LetterFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if l.Handler == "panic" {
				panicked = append(panicked, l)
			}
		}
		if _, err := letters.Replay(context.Background(), events.LetterAction{By: "test"}, panicked...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		want[events.DeadLetterConsumeCounts.WithLabelValues("panic", "lettermetrics")] = 1
		want[events.DeadLetterProduceCounts.WithLabelValues("panic", "lettermetrics")] = 2
		want[events.DeadLetterReasons.WithLabelValues("panic", "lettermetrics", "panic")] = 2
		want[events.DeadLetterConsumeCounts.WithLabelValues("watch", "lettermetrics")] = 6
		s.are("one has failed again", want)
	})
}

// Why a partition takes no events: each reason is shown while it holds.
func TestBlockedPartitionMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		stuck, unsent, away := eventmodels.BindTopic[shipment]("blocked.stuck"), eventmodels.BindTopic[shipment]("blocked.unsent"), eventmodels.BindTopic[shipment]("blocked.away")
		fail := func(context.Context, eventmodels.Event[shipment]) error { return errors.New("no") }
		group := func(name string) events.ConsumerGroupName { return events.NewConsumerGroup("blocked-" + name) }
		lib, _ := s.library(func(lib *eventsqlite.Library) {
			once := events.WithRetrying(false)
			lib.ConsumeIdempotent(group("stuck"), eventmodels.OnFailureBlock, "h", stuck.Handler(fail), once)
			lib.ConsumeIdempotent(group("unsent"), eventmodels.OnFailureSave, "h", unsent.Handler(fail), once)
			lib.ConsumeIdempotent(group("away"), eventmodels.OnFailureDiscard, "h", away.Handler(func(ctx context.Context, e eventmodels.Event[shipment]) error {
				time.Sleep(5 * time.Second) // the brokers cease to answer meanwhile
				return fail(ctx, e)
			}), once)
		})
		lib.StartConsumingOrPanic(t.Context())
		letters := events.DeadLetterTopic("blocked.unsent", group("unsent"))
		refused := s.broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: letters}, kerr.TopicAuthorizationFailed)
		s.produce(lib, stuck.Event("k", shipment{}), unsent.Event("k", shipment{}))
		time.Sleep(time.Minute)
		blocked := func(name, reason string) prometheus.Metric {
			return events.BlockedPartitions.WithLabelValues("blocked-"+name, reason)
		}
		s.are("failing", map[prometheus.Metric]float64{
			blocked("stuck", "stuck"): 1, blocked("stuck", "unsent"): 0, blocked("unsent", "unsent"): 1, blocked("unsent", "stuck"): 0, blocked("away", "away"): 0,
		})
		refused.Remove()
		s.produce(lib, away.Event("k", shipment{}))
		time.Sleep(time.Second)
		silent := s.broker.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.Metadata}}) // heartbeats are answered
		time.Sleep(time.Minute)
		s.are("without answers", map[prometheus.Metric]float64{blocked("away", "away"): 1, blocked("stuck", "stuck"): 1})
		silent.Remove()
		time.Sleep(2 * time.Minute)
		s.are("healed", map[prometheus.Metric]float64{blocked("stuck", "stuck"): 1, blocked("unsent", "unsent"): 0, blocked("away", "away"): 0})
	})
}

// Whatever is in keys, ids, headers, payloads and errors, the number of series
// does not depend on it.
func TestLabelsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		topic := eventsqlite.BindTopic[string]("bounded")
		lib, db := s.library(func(lib *eventsqlite.Library) {
			fail := func(e eventmodels.Event[string]) error {
				return eventmodels.SetErrorHandling(errors.New("customer "+e.Payload+" "+e.ID), eventmodels.DoNotRetry)
			}
			group := events.NewConsumerGroup("bounded")
			lib.ConsumeIdempotent(group, eventmodels.OnFailureSave, "saves", topic.Handler(func(_ context.Context, e eventmodels.Event[string]) error { return fail(e) }))
			lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "drops", topic.Handler(func(_ context.Context, e eventmodels.Event[string]) error { return fail(e) }))
			lib.ConsumeExactlyOnce(group, eventmodels.OnFailureSave, "once", topic.HandlerTx(func(_ context.Context, _ *eventsqlite.Tx, e eventmodels.Event[string]) error { panic(e.Payload) }))
			lib.ConsumeBroadcast("all", topic.Handler(func(context.Context, eventmodels.Event[string]) error { return nil }))
		})
		if _, err := lib.CatchUpProduce(context.Background(), time.Second, 100); err != nil {
			t.Fatal(err)
		}
		lib.StartConsumingOrPanic(t.Context())
		round := func(odd ...string) {
			for _, text := range odd {
				e := topic.Event(text, text).ID("id-"+text).Subject(text).WithHeader("x-odd", text)
				s.produce(lib, e)
				if err := db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
					tx.Produce(e.ID("tx-" + text))
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
		}
		round("", "usual", "b", "c", "d", "e", "f") // on both partitions
		before := s.series()
		odd := []string{"secret-4711", "größe\n\t\"quoted\"", "{}[]=~,", "alice@example.com", "\u202e\U0001F98A"}
		round(odd...)
		round("1", "2", "3", "4", "5", "6", "7", "8", "9")
		after := s.series()
		for _, series := range after {
			if !slices.Contains(before, series) {
				t.Errorf("a new series: %s", series)
			}
		}
		if len(before) < 50 {
			t.Errorf("only %d series were found", len(before))
		}
	})
}

// series are the names and labels of all metrics of the library.
func (s *metricsScene) series() (all []string) {
	s.t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		name := family.GetName()
		if len(name) < 7 || name[:7] != "events_" {
			continue
		}
		for _, m := range family.GetMetric() {
			series := name
			for _, label := range m.GetLabel() {
				if !slices.Contains(allowedLabels, label.GetName()) {
					s.t.Errorf("%s has a label %s", name, label.GetName())
				}
				series += " " + label.GetName() + "=" + label.GetValue()
			}
			all = append(all, series)
		}
	}
	return all
}
