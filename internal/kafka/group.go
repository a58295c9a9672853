package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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
	life     context.Context
	end      context.CancelFunc
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
	if _, err := kgo.NewClient(append(cfg.fetching(), g.options()...)...); err != nil {
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

func (g *Group) options() []kgo.Opt {
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
		kgo.WithHooks(onNewClient(func(client *kgo.Client) { g.kgo = client })),
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

// Leave leaves the group, so that others get the partitions at once, and not
// after the session timeout. Revoked is called for what is still assigned; as
// heartbeats have ended by then, whatever takes long, and the commits, must be
// done before. A static member does not leave. Leave returns when the
// coordinator has answered, or ctx ends, which also ends Revoked's.
func (g *Group) Leave(ctx context.Context) error {
	g.mu.Lock()
	g.left = true
	g.mu.Unlock()
	defer context.AfterFunc(ctx, g.hurry)()
	if err := g.kgo.LeaveGroupContext(ctx); err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		return fmt.Errorf("kafka: leave group %q: %w", g.cfg.Group, err)
	}
	return nil
}

// leaveTime bounds the leaving in a Close without a Leave.
const leaveTime = 5 * time.Second

// Close ends the member; Poll returns [ErrClosed]. Without a Leave before, it
// leaves, for at most 5 s. It must not be called from Assignments' methods. It
// can be called several times.
func (g *Group) Close() {
	g.close.Do(func() {
		g.mu.Lock()
		left := g.left
		g.mu.Unlock()
		if !left {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
			if err := g.Leave(ctx); err != nil {
				g.log.Warn("kafka: the group was not left; others get the partitions after the session timeout", "error", err)
			}
			cancel()
		}
		g.end()
		g.kept.Wait()
		g.kgo.Close()
	})
}
