package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Health is the state of a Library at one moment, as Library.Health sees it.
// Its JSON form is what HealthHandler writes.
type Health struct {
	// Live is false when the process should be restarted: a handler has not
	// returned a minute after its timeout, and its partition cannot go
	// elsewhere while the process lives.
	Live bool `json:"live"`
	// Ready is true when the brokers and the database answer and, after
	// StartConsuming, from when the handlers are ready until its context ends.
	Ready bool `json:"ready"`
	// Problems says in words what is not well, whether or not it makes the
	// process unready; none if all is.
	Problems []string `json:"problems,omitempty"`

	Brokers ServerHealth `json:"brokers"`
	// Database is nil without one.
	Database *ServerHealth `json:"database,omitempty"`
	// Relay is nil unless CatchUpProduce runs.
	Relay *RelayHealth `json:"relay,omitempty"`
	// Groups are the consumer groups, once they are joined.
	Groups []GroupHealth `json:"groups,omitempty"`
	// Broadcast is nil without broadcast handlers.
	Broadcast *BroadcastHealth `json:"broadcast,omitempty"`
}

// ServerHealth says whether a server answers.
type ServerHealth struct {
	OK bool `json:"ok"`
	// Took is how long the answer took.
	Took time.Duration `json:"took_ns"`
	// Error is why there is none.
	Error string `json:"error,omitempty"`
}

// RelayHealth is the state of the relay.
type RelayHealth struct {
	// Leading is true in the process that holds the outbox's lease; the
	// others stand by, and know nothing of the outbox.
	Leading bool `json:"leading"`
	// Rows wait in the outbox, the oldest for OldestAge; Parked ones were
	// refused by the brokers. Both are counted up to [eventmodels.StatsLimit],
	// see [eventmodels.OutboxStats]. SampledAt is when that was looked at, zero
	// if it was not yet.
	Rows      int64         `json:"rows"`
	Parked    int64         `json:"parked"`
	OldestAge time.Duration `json:"oldest_age_ns"`
	SampledAt time.Time     `json:"sampled_at,omitzero"`
}

// GroupHealth is the state of a consumer group in this process.
type GroupHealth struct {
	Group string `json:"group"`
	// Joined says whether the brokers count this process as a member. It is
	// not one for a moment after the start, and after it was out of reach for
	// longer than the session timeout.
	Joined bool `json:"joined"`
	// Partitions that this process has been assigned, and how many of them are
	// not fetched at the moment since their handlers do not keep up.
	Partitions int `json:"partitions"`
	Paused     int `json:"paused"`
	// Backlog is how many events were fetched of them that wait in memory for a
	// place in their handlers' queues.
	Backlog int `json:"backlog"`
	// Blocked are those that take no events because of a failure.
	Blocked []BlockedHealth `json:"blocked,omitempty"`
	// Overdue are the handlers that have not returned although their timeout
	// is over.
	Overdue []OverdueHealth `json:"overdue,omitempty"`
}

// BlockedHealth is a partition that takes no events.
type BlockedHealth struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Reason is one of those of BlockedPartitions.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Handler and Offset are of the event that blocks it, if one does.
	Handler string `json:"handler,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
}

// OverdueHealth is a handler that has not returned.
type OverdueHealth struct {
	Topic   string    `json:"topic"`
	Handler string    `json:"handler"`
	Since   time.Time `json:"since"` // when its timeout was over
}

// BroadcastHealth is the state of the broadcasts.
type BroadcastHealth struct {
	// LastHeartbeat is how long ago the last heartbeat has arrived, Interval
	// how often they are sent; see BroadcastConsumerLastLatency.
	LastHeartbeat time.Duration `json:"last_heartbeat_ns"`
	Interval      time.Duration `json:"interval_ns"`
	// Gaps is how often events were removed from Kafka before this process has
	// read them; see OnBroadcastGap.
	Gaps int64 `json:"gaps"`
	// Overdue are handlers that have not returned.
	Overdue []OverdueHealth `json:"overdue,omitempty"`
}

// overdueGrace is how long after its timeout a handler makes the process not
// live: it may be slow to end.
const overdueGrace = time.Minute

// lateHeartbeats is how many intervals without a heartbeat are a problem.
const lateHeartbeats = 3

// Health asks the brokers and the database whether they answer, until ctx
// ends, and reports what this process knows of its relay, groups and
// broadcasts. A Library that is not in use, not yet or no more, is not ready;
// nobody is asked then.
func (l *Library[ID, TX, DB]) Health(ctx context.Context) Health {
	client, err := l.usedClient()
	if err != nil {
		return Health{Live: true, Problems: []string{err.Error()}, Brokers: ServerHealth{Error: err.Error()}}
	}
	h := Health{Live: true, Ready: true}
	var asking sync.WaitGroup
	asking.Go(func() { h.Brokers = askServer(ctx, client.Ping) })
	if l.HasDB() {
		asking.Go(func() { answer := askServer(ctx, l.db.Ping); h.Database = &answer })
	}
	asking.Wait()
	for _, server := range []struct {
		name   string
		health *ServerHealth
	}{{"the brokers do", &h.Brokers}, {"the database does", h.Database}} {
		if server.health != nil && !server.health.OK {
			h.Ready = false
			h.problem("%s not answer: %s", server.name, server.health.Error)
		}
	}
	l.relayHealth(&h)
	l.consumerHealth(&h)
	return h
}

// usedClient is kafkaClient for those who must not make a Library run: handlers
// may still be registered.
func (l *LibraryNoDB) usedClient() (*kafka.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == phaseConfigured {
		return nil, errUnused
	}
	return l.kafkaClientLocked()
}

var errUnused = errors.New("the Library is configured and not in use yet; call StartConsuming, CatchUpProduce or Produce")

func (h *Health) problem(format string, args ...any) {
	h.Problems = append(h.Problems, fmt.Sprintf(format, args...))
}

func askServer(ctx context.Context, ping func(context.Context) error) ServerHealth {
	began := time.Now()
	err := ping(ctx)
	answer := ServerHealth{OK: err == nil, Took: time.Since(began)}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

func (l *Library[ID, TX, DB]) relayHealth(h *Health) {
	l.relay.mu.Lock()
	run := l.relay.running
	l.relay.mu.Unlock()
	if run == nil {
		return
	}
	h.Relay = &RelayHealth{Leading: run.relay.Leading()}
	if sample := l.outbox.Load(); sample != nil {
		h.Relay.Rows, h.Relay.Parked, h.Relay.OldestAge, h.Relay.SampledAt = sample.Rows, sample.Parked, sample.OldestAge, sample.at
	}
	if h.Relay.OldestAge > time.Minute {
		h.problem("the oldest event in the outbox is %v old", h.Relay.OldestAge.Round(time.Second))
	}
	if h.Relay.Parked > 0 {
		h.problem("%d events are parked, because the brokers refuse them", h.Relay.Parked)
	}
}

func (l *Library[ID, TX, DB]) consumerHealth(h *Health) {
	l.consumer.mu.Lock()
	run := l.consumer.run
	l.consumer.mu.Unlock()
	if run == nil {
		return
	}
	ended := run.ctx.Err() != nil
	if ended {
		h.Ready = false
		h.problem("consuming has ended, or is about to: the context given to StartConsuming has")
	}
	select {
	case <-run.started:
	default:
		if !ended {
			h.Ready = false
			h.problem("the handlers are not ready yet")
		}
		return
	}
	for _, s := range run.sessions {
		overdue := overdueHandlers(s.engine.Stats())
		for _, o := range overdue {
			h.problem("the handler %s of topic %s has not returned although its timeout is over since %v", o.Handler, o.Topic, time.Since(o.Since).Round(time.Second))
			if time.Since(o.Since) > overdueGrace {
				h.Live = false
			}
		}
		if s.group == "" {
			h.Broadcast = &BroadcastHealth{Overdue: overdue, Gaps: l.gaps.Load()}
			h.Broadcast.LastHeartbeat, h.Broadcast.Interval = l.BroadcastConsumerLastLatency()
			if h.Broadcast.LastHeartbeat > lateHeartbeats*h.Broadcast.Interval {
				h.problem("no broadcast has arrived for %v, although a heartbeat is sent every %v", h.Broadcast.LastHeartbeat.Round(time.Second), h.Broadcast.Interval)
			}
			continue
		}
		h.Groups = append(h.Groups, groupHealth(s, overdue, h))
	}
}

func groupHealth(s *session, overdue []OverdueHealth, h *Health) GroupHealth {
	g := GroupHealth{Group: s.group, Joined: s.joined(), Overdue: overdue}
	if !g.Joined {
		h.problem("this process is not a member of the group %s at the moment", s.group)
	}
	for _, p := range s.engine.Positions() {
		g.Partitions++
		g.Backlog += p.Backlog
		if p.Paused {
			g.Paused++
		}
	}
	for _, b := range s.engine.Blocked() {
		blocked := BlockedHealth{Topic: b.Topic, Partition: b.Partition, Reason: blockWord(b.Reason), Since: b.Since, Handler: b.Handler, Offset: b.Offset}
		g.Blocked = append(g.Blocked, blocked)
		h.problem("partition %d of topic %s takes no events in group %s since %v (%s)", b.Partition, b.Topic, s.group, time.Since(b.Since).Round(time.Second), blocked.Reason)
	}
	return g
}

func overdueHandlers(stats []delivery.HandlerStats) (overdue []OverdueHealth) {
	for _, st := range stats {
		if st.Overdue > 0 {
			overdue = append(overdue, OverdueHealth{Topic: st.Handler.Topic, Handler: st.Handler.Name, Since: st.OverdueSince})
		}
	}
	slices.SortFunc(overdue, func(a, b OverdueHealth) int {
		return strings.Compare(a.Topic+" "+a.Handler, b.Topic+" "+b.Handler)
	})
	return overdue
}
