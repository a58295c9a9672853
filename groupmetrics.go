package events

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Metrics of consumer groups, as this process sees them. What is sampled is
// looked at every 15 s. Of several Libraries with a group of the same name the
// partitions are added up; of their lags it is the largest.
var (
	// ConsumerLag is how many offsets of a partition that this process has
	// been assigned are not done, up to the last stable one. It counts
	// offsets: transaction markers and what compaction has removed count as
	// long as they are not passed.
	ConsumerLag = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_consumer_lag", Help: "Offsets of an assigned partition that are not done yet.",
	}, []string{"consumer_group", "topic", "partition"})
	// AssignedPartitions is how many partitions this process has been
	// assigned.
	AssignedPartitions = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_assigned_partitions", Help: "Partitions that are assigned to this process.",
	}, []string{"consumer_group"})
	// PausedPartitions is how many of them are not fetched at the moment,
	// because what was fetched of them waits for its handlers.
	PausedPartitions = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_paused_partitions", Help: "Assigned partitions that are not fetched at the moment, since their handlers do not keep up.",
	}, []string{"consumer_group"})
	// BlockedPartitions is how many of them take no events because of a
	// failure, by reason: retrying (an event with OnFailureBlock has failed
	// and is tried again), stuck (it is not tried again before a restart),
	// away (the database or the brokers do not answer) or unsent (a dead
	// letter cannot be written).
	BlockedPartitions = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "events_blocked_partitions", Help: "Assigned partitions that take no events because of a failure, by reason: retrying, stuck, away or unsent.",
	}, []string{"consumer_group", "reason"})
	// Rebalances counts how often this process was assigned partitions, had
	// to give some up (revoked), or lost some without being asked.
	Rebalances = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_rebalances", Help: "Changes of the assignment of this process: assigned, revoked or lost.",
	}, []string{"consumer_group", "change"})
	// RevocationSeconds is how long this process took to give partitions up:
	// running handlers end and what is done is committed. The group waits for
	// it.
	RevocationSeconds = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_revocation_seconds", Help: "Seconds that giving up partitions took, while the group waits.", Buckets: latencyBuckets,
	}, []string{"consumer_group"})
	// MarksCounts counts the events that exactly-once handlers were given: new
	// ones, whose marks were written, and found ones, which had been handled
	// before and were not again.
	MarksCounts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_marks", Help: "Marks of exactly-once handlers: new (written) or found (the event had been handled before).",
	}, []string{"handler_name", "topic", "result"})
	// BroadcastGaps counts how often broadcast events were removed from Kafka
	// before this process has read them.
	BroadcastGaps = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "events_broadcast_gaps", Help: "How often broadcast events were removed before they were read.",
	}, []string{"topic"})
)

// observedAssignments counts the changes of an assignment.
type observedAssignments struct {
	kafka.Assignments
	group string
}

func (o observedAssignments) Assigned(ctx context.Context, partitions []kafka.TopicPartition) {
	Rebalances.WithLabelValues(o.group, "assigned").Inc()
	o.Assignments.Assigned(ctx, partitions)
}

func (o observedAssignments) Revoked(ctx context.Context, partitions []kafka.TopicPartition) {
	Rebalances.WithLabelValues(o.group, "revoked").Inc()
	began := time.Now()
	o.Assignments.Revoked(ctx, partitions)
	RevocationSeconds.WithLabelValues(o.group).Observe(time.Since(began).Seconds())
}

func (o observedAssignments) Lost(partitions []kafka.TopicPartition) {
	Rebalances.WithLabelValues(o.group, "lost").Inc()
	o.Assignments.Lost(partitions)
}

// sampleInterval is the time between two looks at a group.
const sampleInterval = 15 * time.Second

// groupSampler feeds the gauges of a group.
type groupSampler struct {
	lib    *LibraryNoDB
	client *kafka.Client
	engine *delivery.Engine
	group  string // without prefix

	shown map[kafka.TopicPartition]bool // have a lag
}

// run samples until ctx ends, and takes the gauges back then: they are no longer
// true.
func (s *groupSampler) run(ctx context.Context) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.forget()
			return
		case <-ticker.C:
		}
		s.sample(ctx)
	}
}

func (s *groupSampler) sample(ctx context.Context) {
	positions := s.engine.Positions()
	paused := 0
	for _, p := range positions {
		if p.Paused {
			paused++
		}
	}
	sharedAssigned.set(s, float64(len(positions)), s.group)
	sharedPaused.set(s, float64(paused), s.group)
	type place struct {
		topic     string
		partition int32
	}
	blocked := make(map[string]map[place]bool)
	for _, b := range s.engine.Blocked() {
		word := blockWord(b.Reason)
		if blocked[word] == nil {
			blocked[word] = make(map[place]bool)
		}
		blocked[word][place{b.Topic, b.Partition}] = true // by several events, perhaps
	}
	for _, word := range blockWords {
		sharedBlocked.set(s, float64(len(blocked[word])), s.group, word)
	}
	lag, err := s.lag(ctx, positions)
	if err != nil {
		if ctx.Err() == nil {
			ErrorCounts.WithLabelValues("consumer-lag").Inc()
		}
		return // what is shown is old, and soon looked at again
	}
	s.show(lag)
}

// blockWords are the reasons as labels.
var blockWords = []string{"retrying", "stuck", "away", "unsent"}

func blockWord(r delivery.BlockReason) string { return strings.ToLower(r.String()) }

// lag asks the brokers for the ends of the partitions. Where a partition stands
// of which nothing was fetched yet is what the group has committed.
func (s *groupSampler) lag(ctx context.Context, positions []delivery.Position) (map[kafka.TopicPartition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleInterval)
	defer cancel()
	topics := make(map[kafka.WireTopic]bool)
	complete := true
	for _, p := range positions {
		topics[p.Topic] = true
		complete = complete && p.Known
	}
	names := make([]kafka.WireTopic, 0, len(topics))
	for topic := range topics {
		names = append(names, topic)
	}
	ends, err := s.client.EndOffsets(ctx, names)
	if err != nil {
		return nil, err
	}
	var committed map[kafka.TopicPartition]kafka.Offset
	if !complete {
		if committed, err = s.client.CommittedOffsets(ctx, s.lib.settings.prefix+s.group); err != nil {
			return nil, err
		}
	}
	lag := make(map[kafka.TopicPartition]int64, len(positions))
	for _, p := range positions {
		at, known := p.Done, p.Known
		if !known {
			var offset kafka.Offset
			offset, known = committed[p.TopicPartition]
			at = offset.At
		}
		if end, ok := ends[p.TopicPartition]; ok && known {
			lag[p.TopicPartition] = max(end-at, 0)
		}
	}
	return lag, nil
}

// show sets the lags, and removes those of partitions that went elsewhere.
func (s *groupSampler) show(lag map[kafka.TopicPartition]int64) {
	for tp := range s.shown {
		if _, still := lag[tp]; !still {
			sharedLag.remove(s, s.labels(tp)...)
		}
	}
	s.shown = make(map[kafka.TopicPartition]bool, len(lag))
	for tp, behind := range lag {
		s.shown[tp] = true
		sharedLag.set(s, float64(behind), s.labels(tp)...)
	}
}

func (s *groupSampler) labels(tp kafka.TopicPartition) []string {
	return []string{s.group, s.lib.topicOf(tp.Topic), strconv.Itoa(int(tp.Partition))}
}

func (s *groupSampler) forget() {
	s.show(nil)
	sharedAssigned.remove(s, s.group)
	sharedPaused.remove(s, s.group)
	for _, word := range blockWords {
		sharedBlocked.remove(s, s.group, word)
	}
}
