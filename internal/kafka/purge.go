package kafka

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// purger makes franz-go forget a topic when what it knows of it is wrong for
// ever: it never adopts the new id of a topic that was deleted and created
// again, and it asks only once how large batches may be. Forgetting fails what
// is buffered of the topic, so it is done once for all calls that were under
// way, and they hand their records over again.
type purger struct {
	mu      sync.Mutex
	rounds  map[WireTopic]uint64        // how often a topic was forgotten
	purging map[WireTopic]chan struct{} // closed when that is done
	// slack has the topics of which franz-go has refused a record that fits,
	// one or two bytes below the limit, because it did not know the request's
	// version yet. Their batches may become as many bytes too large, which
	// the broker refuses; by then the version is known, and the slack ends.
	slack map[WireTopic]bool
}

// failure is a record that was not acknowledged.
type failure struct {
	client  *Client
	record  *Record
	round   uint64 // of the topic when the record was handed over
	attempt int
	err     error
}

// rounds are the rounds of a call's topics, of which there are few.
type rounds []topicRound

type topicRound struct {
	topic WireTopic
	round uint64
}

func (r rounds) of(t WireTopic) (round uint64, ok bool) {
	for _, tr := range r {
		if tr.topic == t {
			return tr.round, true
		}
	}
	return 0, false
}

// round is how often the topic has been forgotten. While it is being forgotten,
// round waits, or until ctx ends.
func (u *purger) round(ctx context.Context, t WireTopic) uint64 {
	for {
		u.mu.Lock()
		round, purging := u.rounds[t], u.purging[t]
		u.mu.Unlock()
		if purging == nil {
			return round
		}
		select {
		case <-purging:
		case <-ctx.Done():
			return round
		}
	}
}

// changed says whether the topic is being or has been forgotten since round.
func (u *purger) changed(t WireTopic, round uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rounds[t] != round || u.purging[t] != nil
}

func (u *purger) hasSlack(t WireTopic) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.slack[t]
}

// retry says whether a record that failed should be handed over again.
func (u *purger) retry(f failure) bool {
	t := WireTopic(f.record.Topic)
	switch {
	case errors.Is(f.err, context.Canceled), errors.Is(f.err, context.DeadlineExceeded):
		// Not this call's ctx, which has not ended: franz-go fails all that is
		// buffered of a partition when the ctx of its first record ends. So
		// however often that happens, it does not count.
		return true
	case errors.Is(f.err, kgo.ErrClientClosed), f.attempt == attempts:
		return false
	case errors.Is(f.err, kerr.UnknownTopicID):
		u.forget(f, func() { f.client.Forget(t) })
		return true
	case errors.Is(f.err, kerr.MessageTooLarge):
		u.forget(f, func() { u.resize(f) })
		return f.attempt < attempts-1
	case errors.Is(f.err, kerr.UnknownTopicOrPartition):
		f.client.Forget(t) // so that it can be created
	}
	// What another call's forgetting has done to this one's records.
	return u.changed(t, f.round)
}

// forget makes franz-go forget the topic, unless that has been done since the
// record was handed over. prepare is called before, with u.mu held.
func (u *purger) forget(f failure, prepare func()) {
	t := WireTopic(f.record.Topic)
	u.mu.Lock()
	if u.rounds[t] != f.round || u.purging[t] != nil {
		u.mu.Unlock()
		return
	}
	if u.rounds == nil {
		u.rounds = make(map[WireTopic]uint64)
		u.purging = make(map[WireTopic]chan struct{})
		u.slack = make(map[WireTopic]bool)
	}
	done := make(chan struct{})
	u.rounds[t]++
	u.purging[t] = done
	prepare()
	u.mu.Unlock()

	f.client.kgo.PurgeTopicsFromProducing(string(t)) // waits for franz-go's metadata

	u.mu.Lock()
	delete(u.purging, t)
	u.mu.Unlock()
	close(done)
}

// resize changes how large batches may be after one was too large: either
// franz-go has refused a record near the limit that fits, or the limit is less
// than it was when it was read. When it is read again, what is too big is
// refused, and the rest goes into smaller batches. u.mu is held.
func (u *purger) resize(f failure) {
	t := WireTopic(f.record.Topic)
	limit, ok := f.client.CachedLimit(t)
	near := ok && RecordSize(f.record) > limit+prefixSize(limit)-longPrefix
	if near && !u.slack[t] {
		u.slack[t] = true
		return
	}
	delete(u.slack, t)
	f.client.Forget(t)
}
