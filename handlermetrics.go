package events

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// handlerMetrics are the metrics of a handler of the engine and of its topic,
// looked up once; the engine's observer finds them with the handler. What is nil
// is not fed.
type handlerMetrics struct {
	// consumed, ack and transmission are the topic's.
	consumed          prometheus.Counter
	ack, transmission prometheus.Observer

	success, errors, panics prometheus.Counter
	latency                 prometheus.Observer
	overdue, queued, depth  *gaugePart
	longest, slot, full     *gaugePart
	batches, batchQueue     *gaugePart
}

// newHandlerMetrics returns those of a handler for events.
func newHandlerMetrics(h *registeredHandler) *handlerMetrics {
	m := &handlerMetrics{
		consumed:     ConsumeCounts.WithLabelValues(h.topic, h.group),
		ack:          AckLatency.WithLabelValues(h.topic, h.group),
		transmission: TransmissionLatency.WithLabelValues(h.topic, h.group),
		success:      HandlerSuccessCounts.WithLabelValues(h.name, h.topic),
		errors:       HandlerErrorCounts.WithLabelValues(h.name, h.topic),
		panics:       HandlerPanicCounts.WithLabelValues(h.name, h.topic),
		latency:      HandlerLatency.WithLabelValues(h.name, h.topic),
		full:         sharedQueueLimit.part(h.name, h.topic),
	}
	m.sampled(h.name, h.topic)
	if h.batches {
		m.batches = sharedBatches.part(h.name)
		m.batchQueue = sharedBatchQueue.part(h.name)
	}
	return m
}

// newLetterMetrics returns those of a handler for dead letters of topic's
// events. What it passes over is neither run nor a success; the reader of the
// letters counts these.
func newLetterMetrics(group, name, topic, letterTopic string) *handlerMetrics {
	m := &handlerMetrics{
		consumed: ConsumeCounts.WithLabelValues(letterTopic, group),
		ack:      AckLatency.WithLabelValues(letterTopic, group),
		errors:   HandlerErrorCounts.WithLabelValues(name, topic),
		panics:   HandlerPanicCounts.WithLabelValues(name, topic),
	}
	m.sampled(name, letterTopic)
	return m
}

// sampled adds the gauges that every handler has.
func (m *handlerMetrics) sampled(name, topic string) {
	m.longest = sharedLongest.part(name, topic)
	m.overdue = sharedOverdue.part(name, topic)
	m.queued = sharedActiveDemand.part(name, topic)
	m.slot = sharedActiveLimit.part(name, topic)
	m.depth = sharedQueueDemand.part(name, topic)
}

func (m *handlerMetrics) forLetters() bool { return m.full == nil }

func (m *handlerMetrics) sample(s *delivery.HandlerStats, now time.Time) {
	longest := 0.0
	if !s.OldestStart.IsZero() {
		longest = now.Sub(s.OldestStart).Seconds()
	}
	m.longest.set(longest)
	m.overdue.set(float64(s.Overdue))
	m.queued.set(float64(s.Queued))
	m.depth.set(float64(s.Backlog))
	m.slot.set(oneIf(s.WaitsForSlot))
	if m.full != nil {
		m.full.set(oneIf(s.QueueFull))
	}
	if m.batches != nil {
		m.batches.set(float64(s.Runs))
		m.batchQueue.set(float64(s.Queued))
	}
}

func metricsOf(h *delivery.Handler) *handlerMetrics { return h.Metrics.(*handlerMetrics) }

// observer feeds the metrics of a group, whose handlers have handlerMetrics.
func observer(group string) delivery.Observer {
	demand := sharedGroupDemand.part(group)
	limit := sharedGroupLimit.part(group)
	return delivery.Observer{
		Consumed: func(h *delivery.Handler, _ *kafka.Record, m *eventmodels.Message, now time.Time) {
			c := metricsOf(h)
			c.consumed.Inc()
			if m != nil && c.transmission != nil {
				c.transmission.Observe(now.Sub(m.Timestamp).Seconds())
			}
		},
		Acked: func(h *delivery.Handler, d time.Duration) { metricsOf(h).ack.Observe(d.Seconds()) },
		Ran: func(h *delivery.Handler, d time.Duration) {
			if c := metricsOf(h); c.latency != nil {
				c.latency.Observe(d.Seconds())
			}
		},
		Succeeded: func(h *delivery.Handler) {
			if c := metricsOf(h); c.success != nil {
				c.success.Inc()
			}
		},
		Failed:   func(h *delivery.Handler, _ error) { metricsOf(h).errors.Inc() },
		Panicked: func(h *delivery.Handler) { metricsOf(h).panics.Inc() },
		Dropped:  func(*delivery.Handler) { ErrorCounts.WithLabelValues("event-discarded").Inc() },
		Overdue:  func(*delivery.Handler) { ErrorCounts.WithLabelValues("handler-overdue").Inc() },
		Committed: func(_ int, err error) {
			if err != nil {
				ErrorCounts.WithLabelValues("commit").Inc()
			}
		},
		Sampled: func(stats []delivery.HandlerStats) {
			now := time.Now()
			waiting, held := make(map[string]int), false
			for i := range stats {
				s := &stats[i]
				c := metricsOf(s.Handler)
				c.sample(s, now)
				if c.forLetters() {
					continue
				}
				waiting[s.Handler.Topic] = s.Backlog // the same for all handlers of a topic
				held = held || s.QueueFull && s.Backlog > 0
			}
			all := 0
			for _, n := range waiting {
				all += n
			}
			demand.set(float64(all))
			limit.set(oneIf(held))
		},
	}
}
