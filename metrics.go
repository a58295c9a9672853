package events

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
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
	// OverdueHandlers is how many attempts have not ended although their
	// timeout is over: the handler does not heed its context. Its partition
	// waits for it.
	OverdueHandlers = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_overdue_handlers", Help: "Attempts that still run although their timeout is over.",
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
	// HandlerWaitingForQueueConcurrencyLimit is 1 while the handler's queue is
	// full, so that nothing of its topic is taken in.
	HandlerWaitingForQueueConcurrencyLimit = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_handler_queue_concurrency_wait", Help: "1 while the handler's queue is full.",
	}, []string{"handler_name", "topic"})
	// ConsumersWaitingForQueueConcurrencyDemand is the number of events of the
	// group that were fetched and wait for a place in the queues of their
	// handlers.
	ConsumersWaitingForQueueConcurrencyDemand = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_consumer_group_queue_concurrency_demand", Help: "Fetched events of the group that wait for a place in their handlers' queues.",
	}, []string{"consumer_group"})
	// ConsumersWaitingForQueueConcurrencyLimit is 1 while events of the group
	// wait because a handler's queue is full.
	ConsumersWaitingForQueueConcurrencyLimit = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_consumer_group_queue_concurrency_wait", Help: "1 while partitions of the group are held back because a handler's queue is full.",
	}, []string{"consumer_group"})
	// HandlerBatchConcurrency is how many batches the batch handlers of that
	// name work on, in all groups and topics.
	HandlerBatchConcurrency = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_batch_handler_concurrency", Help: "Batches that run now.",
	}, []string{"handler_name"})
	// HandlerBatchQueued is how many events wait for the next batches of the
	// batch handlers of that name, in all groups and topics.
	HandlerBatchQueued = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_batch_handler_queued", Help: "Events that wait for the handler's next batches.",
	}, []string{"handler_name"})
	postTxProduce = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_post_tx_produce_seconds", Help: "Seconds from a commit until its events are in the hands of the relay or, where it produces them itself, in Kafka.", Buckets: latencyBuckets,
	}, []string{"tx_produce_error"})
	// DeadLetterProduceCounts counts the letters that were written, one each
	// time an event has failed for good; topic is the event's.
	DeadLetterProduceCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_dead_letter_produce", Help: "Letters written for events of the handler that have failed for good.",
	}, []string{"handler_name", "topic"})
	// DeadLetterReasons counts the same letters by why the event has failed:
	// panic, decode, do-not-retry (the error says so), timeout, or error for
	// every other.
	DeadLetterReasons = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_dead_letters", Help: "Letters written, by reason: panic, decode, do-not-retry, timeout or error.",
	}, []string{"handler_name", "topic", "reason"})
	// DeadLetterConsumeCounts counts the letters that were handed to the
	// handler: retries and replays, or all letters for a handler of a
	// dead-letter topic; topic is the event's.
	DeadLetterConsumeCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_dead_letter_consume", Help: "Letters handed to the handler.",
	}, []string{"handler_name", "topic"})
	// ErrorCounts counts errors by category: a few fixed words. Those of the
	// library are there from the start, at 0, since an increase from nothing
	// is none to Prometheus.
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

// ObserveProduceLatency feeds the histogram events_post_tx_produce_seconds: how
// long it took, since startTime, to bring a committed transaction's events on
// their way; tx_produce_error says whether it failed. The Library calls it for
// its own commits. It may be called at any time.
func ObserveProduceLatency(err error, startTime time.Time) {
	postTxProduce.WithLabelValues(strconv.FormatBool(err != nil)).Observe(time.Since(startTime).Seconds())
}

// errorCategories are the categories that the library itself uses.
var errorCategories = []string{
	"broadcast-gap", "broadcast-heartbeat", "commit", "consumer-lag", "event-discarded", "group-session", "handler-overdue",
	"outbox-parked", "produce-from-table", "produce-late", "start-consuming", "topic-gap", "topic-recreated", "topic-truncated",
	"relay-delete", "relay-lease", "relay-listen", "relay-park", "relay-read", "relay-sample", "relay-wake",
}

func init() {
	for _, category := range errorCategories {
		ErrorCounts.WithLabelValues(category)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
