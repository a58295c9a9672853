package kafka

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicSpec is how a topic is created if it does not exist.
type TopicSpec struct {
	Topic WireTopic
	// Partitions is their number. Default 2.
	Partitions int32
	// ReplicationFactor is how many copies there are. Default 3, or the
	// number of brokers in the cluster if that is less.
	ReplicationFactor int16
	// Assignments are the brokers of each partition, the leader first, if
	// they are to be chosen here. Partitions and ReplicationFactor have no
	// meaning then.
	Assignments map[int32][]int32
	// Configs are settings by Kafka's names. Unless they are among them,
	// message.timestamp.type is LogAppendTime, and min.insync.replicas is
	// one less than the number of copies, but at least 1.
	Configs map[string]string
}

const (
	defaultPartitions  = 2
	defaultReplication = 3
	createTimeout      = 15 * time.Second // that the controller has for one request
)

// topics creates topics. It keeps which ones exist.
type topics struct {
	client  *Client
	flights *flights[struct{}]

	mu    sync.Mutex
	specs map[WireTopic]TopicSpec // as the last caller wants them; for the topics that do not exist
}

func newTopics(c *Client) *topics {
	t := &topics{client: c, specs: make(map[WireTopic]TopicSpec)}
	t.flights = newFlights(t.create)
	return t
}

func (t *topics) stop() { t.flights.stop() }

// EnsureTopics creates the topics that do not exist, and returns when all exist
// and have leaders. Topics that exist are left as they are. A topic is asked
// about once, however many goroutines call, and then remembered; see
// [Client.Forget]. What can pass, as a change of the controller, a timeout or
// throttling, is tried again until ctx ends, which ends only this call's wait.
// Each topic that fails is a [TopicError] of its own; the others exist.
func (c *Client) EnsureTopics(ctx context.Context, specs []TopicSpec) error {
	var names []WireTopic
	for _, s := range specs {
		if c.TopicEnsured(s.Topic) {
			continue
		}
		names = append(names, s.Topic)
		c.known.mu.Lock()
		c.known.specs[s.Topic] = s
		c.known.mu.Unlock()
	}
	if len(names) == 0 {
		return nil
	}
	_, failed := c.known.flights.get(ctx, names)
	return topicErrors("create", failed)
}

// TopicEnsured reports whether EnsureTopics has seen the topic, so that it would
// do nothing.
func (c *Client) TopicEnsured(topic WireTopic) bool {
	_, ok := c.known.flights.cached(topic)
	return ok
}

// Topics are the names of all topics that the user may see, sorted. What can
// pass is tried again until ctx ends.
func (c *Client) Topics(ctx context.Context) ([]WireTopic, error) {
	for wait := (pause{}); ; wait.next(ctx) {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = nil // all; franz-go's own listing may be a second old
		resp, err := req.RequestWith(ctx, c.kgo)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		switch {
		case err == nil:
			names := make(map[WireTopic]bool, len(resp.Topics))
			for _, t := range resp.Topics {
				if t.Topic != nil && t.ErrorCode != kerr.UnknownTopicOrPartition.Code {
					names[WireTopic(*t.Topic)] = true
				}
			}
			return sortedTopics(names), nil
		case c.kgo.Context().Err() != nil:
			return nil, ErrClosed
		case final(err), ctx.Err() != nil:
			return nil, c.cfg.explain("list the topics", errors.Join(ctx.Err(), err))
		}
	}
}

// topicErrors is the failures, in the order of their topics.
func topicErrors(op string, failed map[WireTopic]error) error {
	errs := make([]error, 0, len(failed))
	for _, t := range sortedTopics(failed) {
		if err := failed[t]; errors.Is(err, ErrClosed) {
			errs = append(errs, ErrClosed)
		} else {
			errs = append(errs, &TopicError{Topic: t, Op: op, Err: err})
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func sortedTopics[V any](m map[WireTopic]V) []WireTopic {
	names := make([]WireTopic, 0, len(m))
	for t := range m {
		names = append(names, t)
	}
	sort.Slice(names, func(i, j int) bool { return names[i] < names[j] })
	return names
}

// create is the flight: look, create what is missing, look again until all
// that was missing has leaders.
func (t *topics) create(ctx context.Context, names []WireTopic, f *flight[struct{}]) {
	open := make(map[WireTopic]bool, len(names)) // true when it was missing
	for _, n := range names {
		open[n] = false
	}
	done := func(n WireTopic, err error) {
		f.report(n, struct{}{}, err)
		delete(open, n)
	}
	for wait := (pause{}); len(open) > 0 && ctx.Err() == nil; wait.next(ctx) {
		resp, err := t.client.metadata(ctx, sortedTopics(open)...)
		if err != nil {
			if final(err) {
				for n := range open {
					done(n, err)
				}
				return
			}
			for n := range open {
				f.trying(n, err)
			}
			continue
		}
		var missing []WireTopic
		for i := range resp.Topics {
			rt := &resp.Topics[i]
			if rt.Topic == nil {
				continue
			}
			n := WireTopic(*rt.Topic)
			wasMissing, asked := open[n]
			if !asked {
				continue
			}
			switch err := kerr.ErrorForCode(rt.ErrorCode); {
			case errors.Is(err, kerr.UnknownTopicOrPartition):
				missing = append(missing, n)
			case err != nil && !kerr.IsRetriable(err):
				done(n, err)
			case err != nil:
				f.trying(n, err)
			case !wasMissing:
				done(n, nil) // whether it has leaders now is not this call's matter
			case hasLeaders(rt):
				done(n, nil)
			default:
				f.trying(n, errors.New("some partitions have no leader yet"))
			}
		}
		if len(missing) == 0 {
			continue
		}
		for n, err := range t.request(ctx, missing, len(resp.Brokers)) {
			switch {
			case err == nil || errors.Is(err, kerr.TopicAlreadyExists):
				if !open[n] {
					wait = pause{}
				}
				open[n] = true
				f.trying(n, errors.New("the topic has been created, but the brokers do not know it yet"))
			case final(err):
				done(n, err)
			default:
				f.trying(n, err)
			}
		}
	}
}

func hasLeaders(rt *kmsg.MetadataResponseTopic) bool {
	for _, p := range rt.Partitions {
		if p.Leader < 0 || p.ErrorCode == kerr.LeaderNotAvailable.Code {
			return false
		}
	}
	return len(rt.Partitions) > 0
}

// final says that trying again cannot help.
func final(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code) && !code.Retriable || errors.Is(err, ErrClosed) || CertificateRefused(err)
}

// request sends one CreateTopics request and returns each topic's answer.
func (t *topics) request(ctx context.Context, names []WireTopic, brokers int) map[WireTopic]error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(createTimeout / time.Millisecond)
	t.mu.Lock()
	for _, n := range names {
		req.Topics = append(req.Topics, t.specs[n].request(n, brokers))
	}
	t.mu.Unlock()
	answers := make(map[WireTopic]error, len(names))
	resp, err := req.RequestWith(ctx, t.client.kgo)
	if err != nil {
		for _, n := range names {
			answers[n] = t.client.cfg.explain("create topics", err)
		}
		return answers
	}
	for _, rt := range resp.Topics {
		err := kerr.ErrorForCode(rt.ErrorCode)
		if err != nil && rt.ErrorMessage != nil && *rt.ErrorMessage != "" {
			err = fmt.Errorf("%w (%s)", err, *rt.ErrorMessage)
		}
		answers[WireTopic(rt.Topic)] = err
	}
	for _, n := range names {
		if _, ok := answers[n]; !ok {
			answers[n] = errors.New("the controller's answer does not name the topic")
		}
	}
	return answers
}

// request is the spec with its defaults, in the protocol's words.
func (s TopicSpec) request(name WireTopic, brokers int) kmsg.CreateTopicsRequestTopic {
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic = string(name)
	rt.NumPartitions = s.Partitions
	if rt.NumPartitions <= 0 {
		rt.NumPartitions = defaultPartitions
	}
	rt.ReplicationFactor = s.ReplicationFactor
	if rt.ReplicationFactor <= 0 {
		rt.ReplicationFactor = int16(max(1, min(defaultReplication, brokers)))
	}
	copies := rt.ReplicationFactor
	if len(s.Assignments) > 0 {
		rt.NumPartitions, rt.ReplicationFactor = -1, -1
		for p, replicas := range s.Assignments {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = p, replicas
			rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
			copies = int16(len(replicas))
		}
	}
	configs := map[string]string{
		"message.timestamp.type": "LogAppendTime",
		"min.insync.replicas":    strconv.Itoa(max(1, int(copies)-1)),
	}
	for k, v := range s.Configs {
		configs[k] = v
	}
	for k, v := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, kmsg.StringPtr(v)
		rt.Configs = append(rt.Configs, c)
	}
	sort.Slice(rt.Configs, func(i, j int) bool { return rt.Configs[i].Name < rt.Configs[j].Name })
	return rt
}

// PartitionCount is how many partitions a topic has now. It always asks.
func (c *Client) PartitionCount(ctx context.Context, topic WireTopic) (int, error) {
	resp, err := c.metadata(ctx, topic)
	if err != nil {
		return 0, err
	}
	for _, rt := range resp.Topics {
		if rt.Topic == nil || *rt.Topic != string(topic) {
			continue
		}
		err := kerr.ErrorForCode(rt.ErrorCode)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = fmt.Errorf("%w: %w", ErrUnknownTopic, err)
		}
		if err != nil {
			return 0, &TopicError{Topic: topic, Op: "describe", Err: err}
		}
		return len(rt.Partitions), nil
	}
	return 0, &TopicError{Topic: topic, Op: "describe", Err: errors.New("the broker's answer does not name the topic")}
}

// Forget forgets that a topic exists and how large its records may be: after
// it was deleted, created again, or configured anew.
func (c *Client) Forget(topic WireTopic) {
	c.known.flights.forget(topic)
	c.limit.flights.forget(topic)
}
