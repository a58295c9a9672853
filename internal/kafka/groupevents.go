package kafka

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// onAssigned is franz-go's callback. It does not fetch the partitions before it
// returns.
func (g *Group) onAssigned(ctx context.Context, _ *kgo.Client, m map[string][]int32) {
	g.callbacks.take()
	defer g.callbacks.pass()
	partitions := flatten(m)
	if len(partitions) == 0 {
		return
	}
	g.mu.Lock()
	g.count++
	for _, tp := range partitions {
		if a := g.owned[tp]; a != nil {
			a.ended.Store(true)
		}
		g.owned[tp] = &assignment{since: g.count, next: -1}
	}
	cancel, polled := g.polling, g.polled
	g.mu.Unlock()
	if cancel != nil { // see take
		cancel()
		<-polled
	}
	g.told.Assigned(ctx, partitions)
}

// onRevoked is franz-go's callback. It is also called, with nothing, at the end
// of every session.
func (g *Group) onRevoked(_ context.Context, _ *kgo.Client, m map[string][]int32) {
	g.callbacks.take()
	defer g.callbacks.pass()
	partitions := g.ending(flatten(m))
	if len(partitions) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(g.patience, g.cfg.revokeTime())
	defer cancel()
	g.told.Revoked(ctx, partitions)
	g.disown(partitions)
}

// onLost is franz-go's callback.
func (g *Group) onLost(_ context.Context, _ *kgo.Client, m map[string][]int32) {
	g.lose(flatten(m))
}

// lose tells that partitions are somebody else's already.
func (g *Group) lose(partitions []TopicPartition) {
	g.callbacks.take()
	defer g.callbacks.pass()
	partitions = g.ending(partitions)
	if len(partitions) == 0 {
		return
	}
	g.disown(partitions) // first: nothing of them is committed any more
	g.told.Lost(partitions)
}

// ending marks the assignments of partitions as ended, and returns those that
// this member still had. Whoever is told of the end finds that nothing fetched
// is current; see [Fetched.Stale].
func (g *Group) ending(partitions []TopicPartition) []TopicPartition {
	g.mu.Lock()
	defer g.mu.Unlock()
	owned := partitions[:0]
	for _, tp := range partitions {
		if a := g.owned[tp]; a != nil {
			a.ended.Store(true)
			owned = append(owned, tp)
		}
	}
	return owned
}

func (g *Group) disown(partitions []TopicPartition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, tp := range partitions {
		delete(g.owned, tp)
	}
}

func flatten(m map[string][]int32) []TopicPartition {
	var partitions []TopicPartition
	for topic, ps := range m {
		for _, p := range ps {
			partitions = append(partitions, TopicPartition{WireTopic(topic), p})
		}
	}
	sort.Slice(partitions, func(i, j int) bool { return partitions[i].less(partitions[j]) })
	return partitions
}

// reportGaps tells of what was removed before it was read.
func (g *Group) reportGaps(gaps []Gap) {
	for _, gap := range gaps {
		g.log.Warn("kafka: records are gone before they were read; reading goes on with what is left",
			"wire_topic", gap.Topic, "partition", gap.Partition, "from", gap.From, "to", gap.To)
		g.cfg.OnGap(gap)
	}
}

// report tells of the errors in what a poll returned.
func (g *Group) report(fetches kgo.Fetches) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var truncated *kgo.ErrDataLoss
		var session *kgo.ErrGroupSession
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			// the poll's own
		case errors.As(err, &truncated):
			g.log.Warn("kafka: a broker lost records that had been read",
				"wire_topic", topic, "partition", partition, "from", truncated.ConsumedTo, "to", truncated.ResetTo)
			g.cfg.OnTruncated(Truncation{TopicPartition{WireTopic(topic), partition}, truncated.ConsumedTo, truncated.ResetTo})
		case errors.As(err, &session):
			if leftOut, ok := g.warn.Allow("session", time.Now()); ok {
				g.log.Warn("kafka: not in the group; trying again", "error", session.Err, "left_out", leftOut)
			}
			g.cfg.OnSessionError(session.Err)
		case errors.Is(err, kerr.UnknownTopicID):
			g.recreated(WireTopic(topic))
		default:
			if leftOut, ok := g.warn.Allow("fetch", time.Now()); ok {
				g.log.Warn("kafka: fetching failed; trying again", "wire_topic", topic, "partition", partition, "error", err, "left_out", leftOut)
			}
		}
	})
}

// recreatedInterval is the least time between two looks at a topic; what was
// fetched of the old one may still arrive.
const recreatedInterval = 5 * time.Second

// recreated has franz-go's word that a topic's id is gone for good: it reports
// UNKNOWN_TOPIC_ID only after several attempts.
func (g *Group) recreated(topic WireTopic) {
	g.mu.Lock()
	known := time.Since(g.gone[topic]) < recreatedInterval
	if !known {
		g.gone[topic] = time.Now()
	}
	g.mu.Unlock()
	if known {
		return
	}
	select {
	case g.recreate <- topic:
	default: // the next poll reports it again
		g.mu.Lock()
		delete(g.gone, topic)
		g.mu.Unlock()
	}
}

// keep does what makes franz-go forget topics, until the group is closed. It is
// a goroutine of its own, since franz-go may be busy with its metadata then.
func (g *Group) keep() {
	for {
		select {
		case <-g.life.Done():
			return
		case topic := <-g.recreate:
			g.adopt(topic)
		case held := <-g.thrown:
			g.joinAgain(held)
		}
	}
}

// adopt begins anew with a topic that was deleted, and perhaps created again:
// franz-go never adopts another id by itself.
func (g *Group) adopt(topic WireTopic) {
	g.log.Warn("kafka: the topic was deleted; it is consumed from its beginning if it is created again", "wire_topic", topic)
	g.lose(g.ownedOf(topic))
	g.forget(string(topic))
	g.cfg.OnTopicRecreated(topic)
}

// joinAgain follows a commit that was refused since the brokers no longer know
// the member. franz-go joins again, and if it is assigned the same partitions
// it goes on with them as if nothing had happened, although others may have had
// them in between, and committed. So they are lost here, and begin anew at what
// is committed. held is what the member had when it tried to commit.
func (g *Group) joinAgain(held map[TopicPartition]*assignment) {
	g.mu.Lock()
	still := false
	for tp, a := range held {
		if a != nil && g.owned[tp] == a && !a.ended.Load() {
			still = true
		}
	}
	g.mu.Unlock()
	if !still { // franz-go has noticed by itself
		return
	}
	g.log.Warn("kafka: the group went on without this member; it joins again")
	topics := g.kgo.GetConsumeTopics()
	for _, t := range topics {
		g.lose(g.ownedOf(WireTopic(t)))
	}
	g.forget(topics...)
}

// forget makes franz-go give up topics and consume them as if they were new.
func (g *Group) forget(topics ...string) {
	g.kgo.PurgeTopicsFromConsuming(topics...)
	g.kgo.AddConsumeTopics(topics...)
}

func (g *Group) ownedOf(topic WireTopic) []TopicPartition {
	g.mu.Lock()
	defer g.mu.Unlock()
	var partitions []TopicPartition
	for tp := range g.owned {
		if tp.Topic == topic {
			partitions = append(partitions, tp)
		}
	}
	sort.Slice(partitions, func(i, j int) bool { return partitions[i].less(partitions[j]) })
	return partitions
}
