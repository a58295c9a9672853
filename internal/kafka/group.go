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
)

// GroupConfig is what a member of a consumer group needs to know.
type GroupConfig struct {
	Config

	// Group is the consumer group's id. It has no default.
	Group string
	// Topics are the topics to begin with; see [Group.AddTopics]. One that
	// does not exist is consumed when it does.
	Topics []WireTopic
	// Start is where a partition begins of which the group has committed
	// nothing. Default [Earliest].
	Start Start
	// Balancers are the ways to assign partitions that the member can agree
	// to, the preferred one first. Default [CooperativeSticky].
	Balancers []Balancer
	// InstanceID makes the member a static one: it gets its partitions back
	// when it is away for less than the session timeout, and leaving the
	// group does not give them up. Default "": a member like any other.
	InstanceID string
	// HeartbeatInterval is also how soon a member notices a rebalance.
	// Default 1 s.
	HeartbeatInterval time.Duration
	// SessionTimeout is how long the brokers wait for a member that died
	// before others get its partitions. It must be within the brokers'
	// group.min.session.timeout.ms (6 s) and group.max.session.timeout.ms.
	// Kafka's own default is 45 s; this one takes over sooner and still
	// survives that the coordinator moves twice, 10 s each. Default 20 s.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long the other members wait in a rebalance for
	// this one to give up partitions. Default 60 s.
	RebalanceTimeout time.Duration
	// FetchMaxBytes is how much one broker may send at once. Default 32 MiB.
	FetchMaxBytes int32

	// OnTruncated is told what a broker has lost. Default: only logged.
	OnTruncated func(Truncation)
	// OnGap is told of what was removed, by retention, before it was read.
	// Default: only logged.
	OnGap func(Gap)
	// OnTopicRecreated is told that a topic was deleted, and perhaps created
	// again, after Lost was called for its partitions. Default: only logged.
	OnTopicRecreated func(WireTopic)
	// OnSessionError is told why the member was thrown out of the group or
	// cannot join it. It tries again. Default: only logged.
	OnSessionError func(error)
}

func (c GroupConfig) withDefaults() GroupConfig {
	c.Config = c.Config.withDefaults()
	setDefault(&c.HeartbeatInterval, time.Second)
	setDefault(&c.SessionTimeout, 20*time.Second)
	setDefault(&c.RebalanceTimeout, 60*time.Second)
	setDefault(&c.FetchMaxBytes, 32<<20)
	if len(c.Balancers) == 0 {
		c.Balancers = []Balancer{CooperativeSticky()}
	}
	if c.OnTruncated == nil {
		c.OnTruncated = func(Truncation) {}
	}
	if c.OnGap == nil {
		c.OnGap = func(Gap) {}
	}
	if c.OnTopicRecreated == nil {
		c.OnTopicRecreated = func(WireTopic) {}
	}
	if c.OnSessionError == nil {
		c.OnSessionError = func(error) {}
	}
	return c
}

// validate names the field that cannot be used. The defaults are filled in.
func (c GroupConfig) validate() error {
	if err := c.Config.validate(); err != nil {
		return err
	}
	if c.Group == "" {
		return errors.New("kafka: Group: empty")
	}
	if c.HeartbeatInterval < 0 || c.HeartbeatInterval > c.SessionTimeout/3 {
		return fmt.Errorf("kafka: HeartbeatInterval: %v is not between 0 and a third of the session timeout, %v", c.HeartbeatInterval, c.SessionTimeout)
	}
	if c.RebalanceTimeout < 3*c.HeartbeatInterval {
		return fmt.Errorf("kafka: RebalanceTimeout: %v is less than three heartbeats", c.RebalanceTimeout)
	}
	if c.FetchMaxBytes < 1 {
		return fmt.Errorf("kafka: FetchMaxBytes: %d is not a size", c.FetchMaxBytes)
	}
	return nil
}

// revokeTime is how long Revoked may take: the rebalance timeout without the
// heartbeats that it took to notice, and with time to commit and rejoin.
func (c GroupConfig) revokeTime() time.Duration {
	return c.RebalanceTimeout - max(2*c.HeartbeatInterval, c.RebalanceTimeout/10)
}

// Balancer assigns a group's partitions to its members.
type Balancer = kgo.GroupBalancer

// CooperativeSticky moves as few partitions as it can, and only these stop.
func CooperativeSticky() Balancer { return kgo.CooperativeStickyBalancer() }

// Sticky, Range and RoundRobin stop all partitions in every rebalance. They are
// there for groups that have members of other clients.
func Sticky() Balancer     { return kgo.StickyBalancer() }
func Range() Balancer      { return kgo.RangeBalancer() }
func RoundRobin() Balancer { return kgo.RoundRobinBalancer() }

// Group is one member of a consumer group. Poll is called by one goroutine at
// a time, everything else by any.
type Group struct {
	cfg      GroupConfig
	log      *slog.Logger
	kgo      *kgo.Client
	told     Assignments
	warn     throttle
	started  time.Time // what Latest means
	life     context.Context
	end      context.CancelFunc
	patience context.Context    // how long Revoked may take at most; ends with life
	hurry    context.CancelFunc // ends patience
	close    sync.Once
	recreate chan WireTopic // polls to keep
	kept     sync.WaitGroup

	callbacks sync.Mutex // held while Assignments is told something

	mu      sync.Mutex
	count   uint64                         // of calls of Assigned
	owned   map[TopicPartition]*assignment // from before Assigned to after Revoked
	polling context.CancelFunc             // ends the running poll; nil if there is none
	polled  chan struct{}                  // closed when the running poll has ended
	gone    map[WireTopic]time.Time        // when a topic was last found to be recreated
	left    bool
}

// NewGroup makes a member and lets it join. It does not wait for the brokers;
// Poll does.
func NewGroup(cfg GroupConfig, a Assignments) (*Group, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Group{
		cfg:      cfg,
		log:      cfg.Logger.With("group", cfg.Group),
		told:     a,
		started:  time.Now(),
		recreate: make(chan WireTopic, 1),
		owned:    make(map[TopicPartition]*assignment),
		gone:     make(map[WireTopic]time.Time),
	}
	g.life, g.end = context.WithCancel(context.Background())
	g.patience, g.hurry = context.WithCancel(g.life)
	client, err := kgo.NewClient(append(cfg.Config.options(), g.options()...)...)
	if err != nil {
		g.end()
		return nil, fmt.Errorf("kafka: group %q: %w", cfg.Group, err)
	}
	g.kgo = client
	g.kept.Go(g.keep)
	return g, nil
}

func (g *Group) options() []kgo.Opt {
	topics := make([]string, len(g.cfg.Topics))
	for i, t := range g.cfg.Topics {
		topics[i] = string(t)
	}
	start := kgo.NewOffset().AtStart()
	if g.cfg.Start != Earliest {
		start = kgo.NewOffset().AtEnd() // found and replaced in begin
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(g.cfg.Group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(kgo.RewindOffset(time.Minute)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.DisableAutoCommit(),
		kgo.Balancers(g.cfg.Balancers...),
		kgo.HeartbeatInterval(g.cfg.HeartbeatInterval),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.RebalanceTimeout(g.cfg.RebalanceTimeout),
		kgo.FetchMaxBytes(g.cfg.FetchMaxBytes),
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

// AddTopics consumes more topics. Those that are consumed already stay as they
// are.
func (g *Group) AddTopics(topics ...WireTopic) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = string(t)
	}
	g.kgo.AddConsumeTopics(names...)
}

// Commit commits offsets: the position after the last record that is done. It
// returns when the coordinator has answered, or ctx ends. The error is a
// [CommitError] that says for each partition whether trying again can help:
// not with [ErrNotOwner].
//
// Brokers accept what a member commits of partitions that are no longer its
// own, so Commit refuses that itself; in Revoked they still are.
func (g *Group) Commit(ctx context.Context, offsets map[TopicPartition]Offset) error {
	failed := make(map[TopicPartition]error)
	request := make(map[string]map[int32]kgo.EpochOffset)
	g.mu.Lock()
	for tp, o := range offsets {
		if g.owned[tp] == nil {
			failed[tp] = ErrNotOwner
			continue
		}
		topic := string(tp.Topic)
		if request[topic] == nil {
			request[topic] = make(map[int32]kgo.EpochOffset)
		}
		request[topic][tp.Partition] = kgo.EpochOffset{Epoch: o.LeaderEpoch, Offset: o.At}
	}
	g.mu.Unlock()
	if len(request) > 0 {
		g.commit(ctx, request, failed)
	}
	if len(failed) == 0 {
		return nil
	}
	return &CommitError{Group: g.cfg.Group, Failed: failed}
}

// commit sends the request and adds what was refused to failed.
func (g *Group) commit(ctx context.Context, request map[string]map[int32]kgo.EpochOffset, failed map[TopicPartition]error) {
	g.kgo.CommitOffsetsSync(ctx, request, func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			for topic, partitions := range request {
				for p := range partitions {
					failed[TopicPartition{WireTopic(topic), p}] = commitError(err)
				}
			}
			return
		}
		names := make(map[[16]byte]string, len(req.Topics)) // an answer may name topics by id only
		for _, t := range req.Topics {
			names[t.TopicID] = t.Topic
		}
		for _, t := range resp.Topics {
			name := t.Topic
			if name == "" {
				name = names[t.TopicID]
			}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed[TopicPartition{WireTopic(name), p.Partition}] = commitError(err)
				}
			}
		}
	})
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
