package events

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Metrics of all Libraries of the process, in Prometheus's default registry.
// Durations are in seconds. Topics are without prefix; consumer_group is ""
// for broadcasts.
var (
	// AckLatency is the time from when an event was fetched until all its
	// handlers were done with it.
	AckLatency = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_acknowledgement_latency", Help: "Seconds from fetching an event until all handlers are done with it.", Buckets: latencyBuckets,
	}, []string{"topic", "consumer_group"})
	// TransmissionLatency is the time from when an event happened, as its
	// producer says, until it was decoded here. It is as right as the clocks.
	TransmissionLatency = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_transmission_latency", Help: "Seconds from when an event happened until it is decoded.", Buckets: latencyBuckets,
	}, []string{"topic", "consumer_group"})
	// ConsumeCounts counts the events that were decoded.
	ConsumeCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_messages_consumed", Help: "Events received.",
	}, []string{"topic", "consumer_group"})
	// HandlerLatency is how long the handler took, per attempt.
	HandlerLatency = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_handler_latencies", Help: "Seconds that one attempt of a handler took.", Buckets: latencyBuckets,
	}, []string{"handler_name", "topic"})
	// HandlerSuccessCounts counts the events that a handler has done.
	HandlerSuccessCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_handler_success", Help: "Events that the handler has done.",
	}, []string{"handler_name", "topic"})
	// HandlerErrorCounts counts the attempts that failed, panics included.
	HandlerErrorCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_handler_errors", Help: "Attempts of the handler that failed.",
	}, []string{"handler_name", "topic"})
	// HandlerPanicCounts counts the attempts that panicked.
	HandlerPanicCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_handler_panic", Help: "Attempts of the handler that panicked.",
	}, []string{"handler_name", "topic"})
	// LongestHandlerLatency is how long the attempt has been running that
	// runs longest now; 0 if none does.
	LongestHandlerLatency = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_unfinished_handler_time", Help: "Seconds that the longest running attempt of the handler has been running.",
	}, []string{"handler_name", "topic"})
	// HandlerWaitingForActiveConcurrencyDemand is the number of events that
	// are queued for the handler and wait for a place to run.
	HandlerWaitingForActiveConcurrencyDemand = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_active_queue_concurrency_demand", Help: "Events queued for the handler.",
	}, []string{"handler_name", "topic"})
	// HandlerWaitingForActiveConcurrencyLimit is 1 while the handler has work
	// and waits for one of the Library's shared places to run.
	HandlerWaitingForActiveConcurrencyLimit = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_active_queue_concurrency_wait", Help: "1 while the handler waits for one of the shared running places.",
	}, []string{"handler_name", "topic"})
	// HandlerWaitingForQueueConcurrencyDemand is the number of events that
	// were fetched and wait for a place in the handler's queue.
	HandlerWaitingForQueueConcurrencyDemand = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_handler_queue_concurrency_demand", Help: "Fetched events that wait for a place in a queue of the topic's handlers.",
	}, []string{"handler_name", "topic"})
	// ErrorCounts counts errors by category: a few fixed words.
	ErrorCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_errors", Help: "Errors by category.",
	}, []string{"category"})
	// ProduceTopicCounts counts the events that Kafka has acknowledged.
	ProduceTopicCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_messages_produced", Help: "Events that the brokers have acknowledged.",
	}, []string{"topic", "produce_method"})
	// ProduceFromTxSplit counts the transactions with events by what sends
	// these: the relay of this process (relay), the commit itself (sync), or
	// another process (lazy).
	ProduceFromTxSplit = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_batches_in_tx", Help: "Committed transactions with events, by what sends them: relay, sync or lazy.",
	}, []string{"method"})
)

// latencyBuckets go from half a millisecond to five minutes.
var latencyBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// observer feeds the metrics of a group. What belongs to a handler is looked
// up once.
func (l *LibraryNoDB) observer(group string, handlers []*registeredHandler) delivery.Observer {
	type counters struct {
		success, errors, panics      prometheus.Counter
		latency                      prometheus.Observer
		longest, queued, slot, depth prometheus.Gauge
	}
	type key struct{ name, topic string }
	byHandler := make(map[key]counters)
	type topicCounters struct {
		consumed          prometheus.Counter
		ack, transmission prometheus.Observer
	}
	byTopic := make(map[string]topicCounters)
	for _, h := range handlers {
		byHandler[key{h.name, h.topic}] = counters{
			success: HandlerSuccessCounts.WithLabelValues(h.name, h.topic),
			errors:  HandlerErrorCounts.WithLabelValues(h.name, h.topic),
			panics:  HandlerPanicCounts.WithLabelValues(h.name, h.topic),
			latency: HandlerLatency.WithLabelValues(h.name, h.topic),
			longest: LongestHandlerLatency.WithLabelValues(h.name, h.topic),
			queued:  HandlerWaitingForActiveConcurrencyDemand.WithLabelValues(h.name, h.topic),
			slot:    HandlerWaitingForActiveConcurrencyLimit.WithLabelValues(h.name, h.topic),
			depth:   HandlerWaitingForQueueConcurrencyDemand.WithLabelValues(h.name, h.topic),
		}
		byTopic[h.topic] = topicCounters{
			consumed:     ConsumeCounts.WithLabelValues(h.topic, group),
			ack:          AckLatency.WithLabelValues(h.topic, group),
			transmission: TransmissionLatency.WithLabelValues(h.topic, group),
		}
	}
	of := func(h *delivery.Handler) counters { return byHandler[key{h.Name, h.Topic}] }
	return delivery.Observer{
		Consumed: func(topic string, _ *kafka.Record, m *eventmodels.Message) {
			t := byTopic[topic]
			t.consumed.Inc()
			if m != nil {
				t.transmission.Observe(time.Since(m.Timestamp).Seconds())
			}
		},
		Acked:     func(topic string, d time.Duration) { byTopic[topic].ack.Observe(d.Seconds()) },
		Ran:       func(h *delivery.Handler, d time.Duration) { of(h).latency.Observe(d.Seconds()) },
		Succeeded: func(h *delivery.Handler) { of(h).success.Inc() },
		Failed:    func(h *delivery.Handler, _ error) { of(h).errors.Inc() },
		Panicked:  func(h *delivery.Handler) { of(h).panics.Inc() },
		Dropped:   func(*delivery.Handler) { ErrorCounts.WithLabelValues("event-discarded").Inc() },
		Overdue:   func(*delivery.Handler) { ErrorCounts.WithLabelValues("handler-overdue").Inc() },
		Committed: func(_ int, err error) {
			if err != nil {
				ErrorCounts.WithLabelValues("commit").Inc()
			}
		},
		Sampled: func(stats []delivery.HandlerStats) {
			now := time.Now()
			for _, s := range stats {
				c := of(s.Handler)
				longest := 0.0
				if !s.OldestStart.IsZero() {
					longest = now.Sub(s.OldestStart).Seconds()
				}
				c.longest.Set(longest)
				c.queued.Set(float64(s.Queued))
				c.depth.Set(float64(s.Backlog))
				waits := 0.0
				if s.WaitsForSlot {
					waits = 1
				}
				c.slot.Set(waits)
			}
		},
	}
}
