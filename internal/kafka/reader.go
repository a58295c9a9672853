package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/internal/loglimit"
)

// ReaderConfig is what a reader without a group needs to know.
type ReaderConfig struct {
	Config

	// Topics are all the topics that are read. They must exist.
	Topics []WireTopic
	// WatchInterval is how often partitions, topic ids and log starts are
	// looked at. Default 10 s.
	WatchInterval time.Duration
	// OnGap is told, once each time, that records of a topic will never be
	// read: retention has removed them, a broker has lost them, or the topic
	// was deleted and created again. Reading goes on with what is left.
	// Default: only logged. It must not call the reader's Close.
	OnGap func(WireTopic)
}

func (c ReaderConfig) withDefaults() ReaderConfig {
	c.Config = c.Config.withDefaults()
	setDefault(&c.WatchInterval, 10*time.Second)
	if c.OnGap == nil {
		c.OnGap = func(WireTopic) {}
	}
	return c
}

// validate names the field that cannot be used. The defaults are filled in.
func (c ReaderConfig) validate() error {
	if err := c.Config.validate(); err != nil {
		return err
	}
	if len(c.Topics) == 0 {
		return errors.New("kafka: Topics: empty")
	}
	if c.WatchInterval < 0 {
		return fmt.Errorf("kafka: WatchInterval: %v is negative", c.WatchInterval)
	}
	return nil
}

// Reader reads all partitions of its topics, without a group: every reader gets
// every record that is appended after it was made. Its positions are in memory;
// however long a connection is away, reading goes on where it was. Poll is
// called by one goroutine at a time, everything else by any.
type Reader struct {
	cfg  ReaderConfig
	log  *slog.Logger
	kgo  *kgo.Client
	adm  *kadm.Client
	warn loglimit.Limit // of what is tried again

	life  context.Context
	end   context.CancelFunc
	look  chan struct{} // makes the watch look now
	watch sync.WaitGroup
	close sync.Once
	gaps  turn // of calling OnGap

	mu  sync.Mutex
	ids map[WireTopic]kadm.TopicID
	pos positions
}

// NewReader finds the ends of all partitions and begins to read there: every
// record that is appended after NewReader has returned will be read, and none
// that was before it was called. What can pass is tried again until ctx ends.
func NewReader(ctx context.Context, cfg ReaderConfig) (*Reader, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(cfg.fetching(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	r := &Reader{
		warn: loglimit.Limit{Burst: 1},
		cfg:  cfg,
		log:  cfg.Logger,
		kgo:  client,
		adm:  kadm.NewClient(client),
		look: make(chan struct{}, 1),
		gaps: newTurn(),
		pos:  newPositions(),
	}
	ends, err := r.ends(ctx)
	if err != nil {
		client.Close()
		return nil, err
	}
	begin := make(map[string]map[int32]kgo.Offset)
	for tp, o := range ends {
		r.pos.begin(tp, o.At)
		if begin[string(tp.Topic)] == nil {
			begin[string(tp.Topic)] = make(map[int32]kgo.Offset)
		}
		begin[string(tp.Topic)][tp.Partition] = kgo.NewOffset().At(o.At).WithEpoch(o.LeaderEpoch)
	}
	client.AddConsumePartitions(begin)
	r.life, r.end = context.WithCancel(context.Background())
	r.watch.Go(r.keepWatch)
	return r, nil
}

// ends reads the topics' ids and the ends of all their partitions.
func (r *Reader) ends(ctx context.Context) (map[TopicPartition]Offset, error) {
	for wait := (pause{}); ; wait.next(ctx) {
		var ends map[TopicPartition]Offset
		topics, err := r.topics(ctx)
		if err == nil {
			ends, err = list(ctx, r.adm.ListCommittedOffsets, r.cfg.Topics)
		}
		switch {
		case err == nil:
			r.ids = make(map[WireTopic]kadm.TopicID, len(topics))
			for t, s := range topics {
				r.ids[t] = s.id
			}
			return ends, nil
		case final(err), errors.Is(err, ErrUnknownTopic):
			return nil, r.cfg.explain("find where to start reading", err)
		case ctx.Err() != nil:
			return nil, r.cfg.explain("find where to start reading", errors.Join(ctx.Err(), err))
		}
	}
}

// topicState is what the watch compares.
type topicState struct {
	id         kadm.TopicID
	partitions []int32
}

// topics asks for the topics. One that does not exist is an error.
func (r *Reader) topics(ctx context.Context) (map[WireTopic]topicState, error) {
	names := make([]string, len(r.cfg.Topics))
	for i, t := range r.cfg.Topics {
		names[i] = string(t)
	}
	details, err := r.adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	states := make(map[WireTopic]topicState, len(names))
	for _, t := range r.cfg.Topics {
		d, ok := details[string(t)]
		switch {
		case !ok, errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			err = errors.Join(err, &TopicError{Topic: t, Op: "read", Err: ErrUnknownTopic})
		case d.Err != nil:
			err = errors.Join(err, &TopicError{Topic: t, Op: "read", Err: d.Err})
		default:
			s := topicState{id: d.ID}
			for p := range d.Partitions {
				s.partitions = append(s.partitions, p)
			}
			states[t] = s
		}
	}
	return states, err
}

// Poll is as [Source] says.
func (r *Reader) Poll(ctx context.Context, maxRecords int) ([]Fetched, error) {
	if maxRecords < 1 {
		maxRecords = pollMost
	}
	for {
		fetches := r.kgo.PollRecords(ctx, maxRecords)
		if fetches.IsClientClosed() || r.life.Err() != nil {
			return nil, ErrClosed
		}
		var out []Fetched
		var gaps []Gap
		r.mu.Lock()
		for _, f := range fetches {
			for _, t := range f.Topics {
				for i := range t.Partitions {
					p := &t.Partitions[i]
					first, f, ok := fetched(t.Topic, p)
					if !ok {
						continue
					}
					if gap, ok := r.pos.fetched(f.TopicPartition, first, p.LogStartOffset, f.Next.At); ok {
						gaps = append(gaps, gap)
					}
					out = append(out, f)
				}
			}
		}
		r.mu.Unlock()
		r.gap(gaps)
		r.report(fetches)
		if len(out) > 0 {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// report tells of the errors in what a poll returned.
func (r *Reader) report(fetches kgo.Fetches) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var truncated *kgo.ErrDataLoss
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			// the poll's own
		case errors.As(err, &truncated):
			tp := TopicPartition{WireTopic(topic), partition}
			r.mu.Lock()
			r.pos.begin(tp, truncated.ResetTo)
			r.mu.Unlock()
			r.gap([]Gap{{tp, truncated.ConsumedTo, truncated.ResetTo}})
		case errors.Is(err, kerr.UnknownTopicID):
			select {
			case r.look <- struct{}{}:
			default:
			}
		default:
			if leftOut, ok := r.warn.Allow("fetch", time.Now()); ok {
				r.log.Warn("kafka: fetching failed; trying again", "wire_topic", topic, "partition", partition, "error", err, "left_out", leftOut)
			}
		}
	})
}

// gap tells of gaps, once for each topic.
func (r *Reader) gap(gaps []Gap) {
	told := make(map[WireTopic]bool)
	for _, g := range gaps {
		r.log.Warn("kafka: records are gone before they were read; reading goes on with what is left",
			"wire_topic", g.Topic, "partition", g.Partition, "from", g.From, "to", g.To)
		if !told[g.Topic] {
			told[g.Topic] = true
			r.gaps.take()
			r.cfg.OnGap(g.Topic)
			r.gaps.pass()
		}
	}
}

// Pause is as [Source] says.
func (r *Reader) Pause(partitions []TopicPartition) {
	if len(partitions) > 0 {
		r.kgo.PauseFetchPartitions(byTopic(partitions))
	}
}

// Resume is as [Source] says.
func (r *Reader) Resume(partitions []TopicPartition) {
	if len(partitions) > 0 {
		r.kgo.ResumeFetchPartitions(byTopic(partitions))
	}
}

// Close ends the reader; Poll returns [ErrClosed]. It can be called several
// times.
func (r *Reader) Close() {
	r.close.Do(func() {
		r.end()
		r.watch.Wait()
		r.kgo.Close()
	})
}
