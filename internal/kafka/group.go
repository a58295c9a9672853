package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/internal/loglimit"
)

// Group is one member of a consumer group. Poll is called by one goroutine at
// a time, everything else by any.
type Group struct {
	cfg      GroupConfig
	log      *slog.Logger
	kgo      *kgo.Client
	told     Assignments
	warn     loglimit.Limit // of what is tried again
	started  time.Time      // what Latest means
	joins    joins
	life     context.Context
	end      context.CancelFunc
	abort    context.CancelFunc // makes franz-go give up what it waits for; nothing can be sent any more
	patience context.Context    // how long Revoked may take at most; ends with life
	hurry    context.CancelFunc // ends patience
	close    sync.Once
	recreate chan WireTopic                      // from Poll to keep
	thrown   chan map[TopicPartition]*assignment // from Commit to keep
	kept     sync.WaitGroup

	callbacks turn // of telling Assignments something

	mu      sync.Mutex
	count   uint64                         // of calls of Assigned
	owned   map[TopicPartition]*assignment // from before Assigned to after Revoked
	polling context.CancelFunc             // ends the running poll; nil if there is none
	polled  chan struct{}                  // closed when the running poll has ended
	gone    map[WireTopic]time.Time        // when a topic was last found to be recreated
	left    bool
}

// NewGroup makes a member and lets it join. It does not wait for the brokers;
// Poll does. a may be called before NewGroup has returned.
func NewGroup(cfg GroupConfig, a Assignments) (*Group, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Group{
		warn:      loglimit.Limit{Burst: 1},
		cfg:       cfg,
		log:       cfg.Logger.With("consumer_group", cfg.Group),
		told:      a,
		started:   time.Now(),
		callbacks: newTurn(),
		recreate:  make(chan WireTopic, 1),
		thrown:    make(chan map[TopicPartition]*assignment, 1),
		owned:     make(map[TopicPartition]*assignment),
		gone:      make(map[WireTopic]time.Time),
	}
	g.life, g.end = context.WithCancel(context.Background())
	g.patience, g.hurry = context.WithCancel(g.life)
	running, abort := context.WithCancel(context.Background())
	g.abort = abort
	if _, err := kgo.NewClient(append(cfg.fetching(), g.options(running)...)...); err != nil {
		g.abort()
		g.end()
		return nil, fmt.Errorf("kafka: group %q: %w", cfg.Group, err)
	}
	g.kept.Go(g.keep)
	return g, nil
}

// onNewClient gets the client before its first callback, which NewClient's
// caller may not.
type onNewClient func(*kgo.Client)

// OnNewClient is franz-go's hook.
func (fn onNewClient) OnNewClient(client *kgo.Client) { fn(client) }

func (g *Group) options(running context.Context) []kgo.Opt {
	topics := make([]string, len(g.cfg.Topics))
	for i, t := range g.cfg.Topics {
		topics[i] = string(t)
	}
	start := kgo.NewOffset().AtStart()
	for _, s := range g.cfg.Starts {
		if s != Earliest {
			start = kgo.NewOffset().AtEnd() // found and replaced in begin, for all topics
		}
	}
	opts := []kgo.Opt{
		kgo.WithContext(running),
		kgo.WithHooks(onNewClient(func(client *kgo.Client) { g.kgo = client }), &g.joins),
		kgo.ConsumerGroup(g.cfg.Group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(kgo.RewindOffset(time.Minute)),
		kgo.DisableAutoCommit(),
		kgo.Balancers(g.cfg.Balancers...),
		kgo.HeartbeatInterval(g.cfg.HeartbeatInterval),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.RebalanceTimeout(g.cfg.RebalanceTimeout),
		kgo.OnPartitionsAssigned(g.onAssigned),
		kgo.OnPartitionsRevoked(g.onRevoked),
		kgo.OnPartitionsLost(g.onLost),
		kgo.AdjustFetchOffsetsFn(g.begin),
		kgo.RetryTimeoutFn(func(key int16) time.Duration {
			switch k := kmsg.Key(key); k {
			case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat:
				return g.cfg.SessionTimeout
			default:
				return g.cfg.retryTimeout(k)
			}
		}),
	}
	if g.cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(g.cfg.InstanceID))
	}
	return opts
}

// Poll is as [Source] says.
func (g *Group) Poll(ctx context.Context, maxRecords int) ([]Fetched, error) {
	if maxRecords < 1 {
		maxRecords = pollMost
	}
	for {
		fetches, count, err := g.pollOnce(ctx, maxRecords)
		if err != nil {
			return nil, err
		}
		var out []Fetched
		var gaps []Gap
		g.mu.Lock()
		for _, f := range fetches {
			for _, t := range f.Topics {
				for i := range t.Partitions {
					f, gap, ok := g.take(t.Topic, &t.Partitions[i], count)
					if !ok {
						continue
					}
					if gap.To > gap.From {
						gaps = append(gaps, gap)
					}
					out = append(out, f)
				}
			}
		}
		g.mu.Unlock()
		g.reportGaps(gaps)
		g.report(fetches)
		if len(out) > 0 {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// pollOnce polls, and returns how often partitions had been assigned when it
// began. It ends early, with nothing, when partitions are assigned.
func (g *Group) pollOnce(ctx context.Context, maxRecords int) (kgo.Fetches, uint64, error) {
	pollCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	polled := make(chan struct{})
	g.mu.Lock()
	count := g.count
	g.polling, g.polled = cancel, polled
	g.mu.Unlock()

	fetches := g.kgo.PollRecords(pollCtx, maxRecords)

	g.mu.Lock()
	g.polling = nil
	g.mu.Unlock()
	close(polled)
	if fetches.IsClientClosed() || g.life.Err() != nil {
		return nil, 0, ErrClosed
	}
	return fetches, count, nil
}

// take makes a Fetched of what a poll returned, unless the partition is not
// assigned any more. g.mu is held.
//
// franz-go drops what it has buffered of a partition before it says that the
// partition is revoked, and fetches a newly assigned one only when onAssigned
// has returned. A poll can be between the two: it took records, and while it
// returns the partition is revoked and assigned again. These records belong to
// the assignment that has ended. They are recognised by the poll having begun
// before the assignment, which is certain because onAssigned ends the running
// poll and waits for it.
func (g *Group) take(topic string, p *kgo.FetchPartition, count uint64) (f Fetched, gap Gap, ok bool) {
	first, f, ok := fetched(topic, p)
	if !ok {
		return Fetched{}, Gap{}, false
	}
	a := g.owned[f.TopicPartition]
	if a == nil || a.since > count || a.ended.Load() {
		return Fetched{}, Gap{}, false
	}
	if a.next >= 0 && p.LogStartOffset > a.next && first > a.next {
		gap = Gap{f.TopicPartition, a.next, p.LogStartOffset}
	}
	f.assigned = a
	a.next = f.Next.At
	return f, gap, true
}

// Pause is as [Source] says.
func (g *Group) Pause(partitions []TopicPartition) {
	if len(partitions) > 0 {
		g.kgo.PauseFetchPartitions(byTopic(partitions))
	}
}

// Resume is as [Source] says.
func (g *Group) Resume(partitions []TopicPartition) {
	if len(partitions) > 0 {
		g.kgo.ResumeFetchPartitions(byTopic(partitions))
	}
}

// Joined reports whether the brokers count the client as a member now.
func (g *Group) Joined() bool {
	_, generation := g.kgo.GroupMetadata()
	return generation >= 0
}
