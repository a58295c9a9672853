package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keepWatch looks at the cluster until the reader is closed, at each interval
// and when a fetch says that a topic's id is unknown.
func (r *Reader) keepWatch() {
	ticker := time.NewTicker(r.cfg.WatchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-r.life.Done():
			return
		case <-ticker.C:
		case <-r.look:
		}
		r.lookAround(r.life)
	}
}

// lookAround is one look: new partitions are read from their start, a topic
// with another id too, and what was removed before it was read is found.
func (r *Reader) lookAround(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, max(r.cfg.WatchInterval, r.cfg.RetryTimeout))
	defer cancel()
	topics, err := r.topics(ctx) // those that do not exist are not among them
	if err != nil {
		r.watchFailed(ctx, err)
	}
	for t, s := range topics {
		r.adopt(t, s)
	}
	if len(topics) == 0 {
		return
	}
	starts, err := list(ctx, r.adm.ListStartOffsets, sortedTopics(topics))
	if err != nil {
		r.watchFailed(ctx, err)
		return
	}
	var gaps []Gap
	idle := r.kgo.BufferedFetchRecords() == 0
	r.mu.Lock()
	for tp, start := range starts {
		if gap, ok := r.pos.looked(tp, start.At, idle); ok {
			gaps = append(gaps, gap)
		}
	}
	r.mu.Unlock()
	r.gap(gaps)
}

func (r *Reader) watchFailed(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) || r.life.Err() != nil {
		return
	}
	if leftOut, ok := r.warn.Allow("watch", time.Now()); ok {
		r.log.Warn("kafka: the topics that are read could not be looked at; trying again", "error", err, "left_out", leftOut)
	}
}

// adopt begins to read what is new in a topic. franz-go never adopts another id
// by itself, so a topic that was created again is forgotten first.
func (r *Reader) adopt(t WireTopic, s topicState) {
	r.mu.Lock()
	recreated := r.ids[t] != s.id
	r.mu.Unlock()
	if recreated {
		r.kgo.PurgeTopicsFromConsuming(string(t))
	}
	var added []int32
	r.mu.Lock()
	if recreated {
		r.ids[t] = s.id
		r.pos.drop(t)
	}
	for _, p := range s.partitions {
		tp := TopicPartition{t, p}
		if !r.pos.known(tp) {
			r.pos.begin(tp, 0)
			added = append(added, p)
		}
	}
	r.mu.Unlock()
	if len(added) > 0 {
		slices.Sort(added)
		offsets := make(map[int32]kgo.Offset, len(added))
		for _, p := range added {
			offsets[p] = kgo.NewOffset().AtStart()
		}
		r.kgo.AddConsumePartitions(map[string]map[int32]kgo.Offset{string(t): offsets})
	}
	switch {
	case recreated:
		r.log.Warn("kafka: the topic was deleted and created again; it is read from its start", "wire_topic", t)
		r.gaps.take()
		r.cfg.OnGap(t)
		r.gaps.pass()
	case len(added) > 0:
		r.log.Info("kafka: new partitions are read from their start", "wire_topic", t, "partitions", added)
	}
}
