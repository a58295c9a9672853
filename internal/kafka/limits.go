package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DefaultMaxMessageBytes is Kafka's own default of max.message.bytes.
const DefaultMaxMessageBytes = 1048588

// configMaxMessageBytes is the setting that limits a record batch.
const configMaxMessageBytes = "max.message.bytes"

// limits knows how large a topic's records may be.
type limits struct {
	client  *Client
	flights *flights[learnt]
	refused sync.Once // the one log line
}

// learnt is a topic's limit, and when it was read.
type learnt struct {
	limit int
	at    time.Time
}

func newLimits(c *Client) *limits {
	l := &limits{client: c}
	l.flights = newFlights(l.read)
	return l
}

func (l *limits) stop() { l.flights.stop() }

// Limits is the topic's max.message.bytes: how large a record batch, and so a
// record with what a batch adds to it, may be. It is read once and remembered;
// see [Client.Forget] and [Client.RefreshLimit]. If the broker refuses the
// question, the answer is Kafka's default, 1048588. It is never less than
// [Config.MinLimit].
func (c *Client) Limits(ctx context.Context, topic WireTopic) (maxMessageBytes int, err error) {
	if v, ok := c.CachedLimit(topic); ok {
		return v, nil
	}
	values, failed := c.limit.flights.get(ctx, []WireTopic{topic})
	return max(values[topic].limit, c.cfg.MinLimit), topicErrors("read the limits of", failed)
}

// CachedLimit is [Client.Limits] without network: ok is false when the limit
// has not been read yet.
func (c *Client) CachedLimit(topic WireTopic) (maxMessageBytes int, ok bool) {
	v, ok := c.limit.flights.cached(topic)
	return max(v.limit, c.cfg.MinLimit), ok
}

// LimitIsOld says that the topic's limit was read longer than
// [Config.MetadataMaxAge] ago: what is larger may fit by now.
func (c *Client) LimitIsOld(topic WireTopic) bool {
	v, ok := c.limit.flights.cached(topic)
	return ok && c.limit.old(v)
}

// RefreshLimit is [Client.Limits], but for a limit that is old, which is asked for
// anew. Until there is an answer, and if there is none, it is what it was. Of
// several who call at the same time one asks.
func (c *Client) RefreshLimit(ctx context.Context, topic WireTopic) (maxMessageBytes int, err error) {
	claimed := c.limit.flights.revise(topic, func(v learnt) (learnt, bool) { return learnt{v.limit, time.Now()}, c.limit.old(v) })
	if claimed {
		answers, err := c.limit.ask(ctx, []WireTopic{topic})
		if a := answers[topic]; err == nil && a.err == nil {
			c.limit.flights.revise(topic, func(learnt) (learnt, bool) { return learnt{a.limit, time.Now()}, true })
		}
	}
	return c.Limits(ctx, topic)
}

func (l *limits) old(v learnt) bool { return time.Since(v.at) >= l.client.cfg.MetadataMaxAge }

// read is the flight: one DescribeConfigs request for all topics, again as long
// as it fails with what can pass.
func (l *limits) read(ctx context.Context, names []WireTopic, f *flight[learnt]) {
	open := make(map[WireTopic]bool, len(names))
	for _, n := range names {
		open[n] = true
	}
	done := func(n WireTopic, limit int, err error) {
		f.report(n, learnt{limit, time.Now()}, err)
		delete(open, n)
	}
	for wait := (pause{}); len(open) > 0 && ctx.Err() == nil; wait.next(ctx) {
		answers, err := l.ask(ctx, sortedTopics(open))
		switch {
		case err != nil && final(err):
			for n := range open {
				done(n, 0, err)
			}
		case err != nil:
			// A broker, or what stands before it, can refuse the question by
			// closing the connection. One that is silent, or cannot be reached,
			// has not refused it: another one may know.
			refused := hungUp(err)
			if refused {
				_, away := l.client.metadata(ctx)
				refused = away == nil
			}
			for n := range open {
				if refused {
					l.refuse(n, err)
					done(n, DefaultMaxMessageBytes, nil)
				} else {
					f.trying(n, err)
				}
			}
		}
		for n, a := range answers {
			switch {
			case a.err == nil:
				done(n, a.limit, nil)
			case errors.Is(a.err, kerr.UnknownTopicOrPartition):
				done(n, 0, fmt.Errorf("%w: %w", ErrUnknownTopic, a.err))
			case final(a.err):
				l.refuse(n, a.err)
				done(n, DefaultMaxMessageBytes, nil)
			default:
				f.trying(n, a.err)
			}
		}
	}
}

// hungUp reports whether a connection was closed instead of an answer.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// refuse logs, once, that the limit is not known.
func (l *limits) refuse(n WireTopic, err error) {
	l.refused.Do(func() {
		l.client.log.Warn("kafka: the broker does not tell how large records may be; "+
			"Kafka's default is taken for this topic and others of which it does not",
			"wire_topic", n, "max_message_bytes", DefaultMaxMessageBytes, "error", err)
	})
}

type limitAnswer struct {
	limit int
	err   error
}

// ask asks for the topics' limits once. Without an error every topic has an
// answer.
func (l *limits) ask(ctx context.Context, names []WireTopic) (map[WireTopic]limitAnswer, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, n := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType = kmsg.ConfigResourceTypeTopic
		r.ResourceName = string(n)
		r.ConfigNames = []string{configMaxMessageBytes}
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, l.client.kgo)
	if err != nil {
		return nil, l.client.cfg.explain("read topic settings", err)
	}
	answers := make(map[WireTopic]limitAnswer, len(names))
	for _, n := range names {
		answers[n] = limitAnswer{limit: DefaultMaxMessageBytes} // as for a broker that does not know the setting
	}
	for _, r := range resp.Resources {
		n := WireTopic(r.ResourceName)
		if _, asked := answers[n]; !asked {
			continue
		}
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			answers[n] = limitAnswer{err: err}
			continue
		}
		for _, c := range r.Configs {
			if c.Name != configMaxMessageBytes || c.Value == nil {
				continue
			}
			if v, err := strconv.Atoi(*c.Value); err == nil && v > 0 {
				answers[n] = limitAnswer{limit: v}
			}
		}
	}
	return answers, nil
}
