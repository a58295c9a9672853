package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

// The measurements of this file do the same work on more and more topics, or
// partitions of one topic.

const (
	spreadGoroutines = 64
	growthRounds     = 2 // so that all of it takes minutes
	spreadPartitions = 4 // of each topic, where there are more and more of them
)

// spread is topics of the same number of partitions, over which events are
// spread.
type spread struct {
	bench
	topics     int
	partitions int32
	names      []string // of the topics
}

// spreads returns those of a measurement along the axis.
func (b bench) spreads(axis string) []*spread {
	var all []*spread
	for _, n := range b.size.growth(axis) {
		s := &spread{bench: b, topics: n, partitions: spreadPartitions}
		if axis == "partitions" {
			s.topics, s.partitions = 1, int32(n)
		}
		all = append(all, s)
	}
	return all
}

// growthMeasurement compares the library with franz-go, or with nobody where
// peer is nil, along the axis. prepare is called once for each size.
func (b bench) growthMeasurement(m compare.Measurement, prepare func(context.Context, *compare.Cleanup, *spread) error,
	events, peer func(*spread, context.Context, *compare.Trial) error) compare.Measurement {
	m.Name = "growth/" + m.Name + "/" + m.Axis
	m.Rounds = growthRounds
	if m.Axis == "topics" {
		m.Notes = append(m.Notes, fmt.Sprintf("Each topic has %d partitions.", spreadPartitions))
	}
	m.Open = func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
		var ourSizes, peers []compare.Contender
		for _, s := range b.spreads(m.Axis) {
			var err error
			if s.names, err = s.servers.Topics(ctx, c, "growth", s.topics, s.partitions); err != nil {
				return nil, err
			}
			if err := prepare(ctx, c, s); err != nil {
				return nil, err
			}
			size := s.topics
			if m.Axis == "partitions" {
				size = int(s.partitions)
			}
			contender := func(series string, run func(*spread, context.Context, *compare.Trial) error) compare.Contender {
				return compare.Contender{Name: fmt.Sprintf("%s, %s: %d", series, m.Axis, size), Series: series, Size: float64(size), Peer: series != ours,
					Run: func(ctx context.Context, t *compare.Trial) error { return run(s, ctx, t) }}
			}
			ourSizes = append(ourSizes, contender(ours, events))
			if peer != nil {
				peers = append(peers, contender(franzGo, peer))
			}
		}
		return append(ourSizes, peers...), nil
	}
	return m
}

func nothing(context.Context, *compare.Cleanup, *spread) error { return nil }

// growthProduce measures immediate producing along an axis.
func (b bench) growthProduce(axis string) compare.Measurement {
	p := producing{bench: b, goroutines: spreadGoroutines, perCall: 1, payloads: newPayloads(1024), keys: newKeys()}
	return b.growthMeasurement(compare.Measurement{
		Name:  "produce",
		Title: fmt.Sprintf("produce 1024 bytes, one event a call, goroutines: %d", spreadGoroutines),
		Unit:  "events",
		Axis:  axis,
	}, nothing, func(s *spread, ctx context.Context, t *compare.Trial) error {
		lib := p.newLibrary(&t.Cleanup, nil)
		return s.produce(ctx, t, func(ctx context.Context, topic string, n int) error {
			return lib.Produce(ctx, eventmodels.ProduceImmediate, encodedEvent{topic: topic, key: p.keys[n%variety], contentType: contentTypeRaw, payload: p.payloads[n%variety]})
		})
	}, func(s *spread, ctx context.Context, t *compare.Trial) error {
		client, err := p.franzClient(&t.Cleanup)
		if err != nil {
			return err
		}
		return s.produce(ctx, t, func(ctx context.Context, topic string, n int) error {
			return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(p.keys[n%variety]), Value: p.payloads[n%variety]}).FirstErr()
		})
	})
}

// produce calls do for the topics in turn.
func (s *spread) produce(ctx context.Context, t *compare.Trial, do func(ctx context.Context, topic string, n int) error) error {
	next := func(ctx context.Context, _, n int) error { return do(ctx, s.names[n%s.topics], n/s.topics) }
	// Every topic is written to before the clock starts.
	if err := divide(ctx, spreadGoroutines, 2*spreadGoroutines*s.topics, next); err != nil {
		return err
	}
	t.Begin()
	produced, err := hammer(ctx, spreadGoroutines, s.size.growing, next)
	if err != nil {
		return err
	}
	t.End(produced)
	return nil
}

// growthConsume measures idempotent consuming along an axis.
func (b bench) growthConsume(axis string) compare.Measurement {
	return b.growthMeasurement(compare.Measurement{
		Name:  "consume",
		Title: fmt.Sprintf("%d events of %d bytes consumed by a group of one, handler without work, payloads left as they are", b.size.grown, consumedBytes),
		Unit:  "events",
		Axis:  axis,
	}, func(ctx context.Context, _ *compare.Cleanup, s *spread) error {
		for _, topic := range s.names {
			if err := s.fillTopic(ctx, topic, contentTypeRaw, s.size.grown/s.topics); err != nil {
				return err
			}
		}
		return nil
	}, (*spread).consumeEvents, (*spread).consumeFranz)
}

func (s *spread) events() int { return s.size.grown / s.topics * s.topics }

func (s *spread) consumeEvents(ctx context.Context, t *compare.Trial) error {
	count := newCounter(t, s.events())
	lib := s.newLibrary(&t.Cleanup, nil)
	group := events.NewConsumerGroup(s.servers.Group(&t.Cleanup, "growth"))
	for _, topic := range s.names {
		lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "bench", eventpg.BindTopic[[]byte](topic).Handler(
			func(context.Context, eventmodels.Event[[]byte]) error { count.add(); return nil }))
	}
	return count.consume(ctx, lib)
}

func (s *spread) consumeFranz(ctx context.Context, t *compare.Trial) error {
	c := &consuming{bench: s.bench, n: s.events(), topics: s.names}
	return c.franz(ctx, t)
}

// growthRelay measures how fast an outbox is drained along an axis.
func (b bench) growthRelay(axis string) compare.Measurement {
	var r *relaying
	m := b.growthMeasurement(compare.Measurement{
		Name:  "relay",
		Title: fmt.Sprintf("an outbox of %d rows of %d bytes moved to Kafka, 5000 rows a read", b.size.grown, relayedBytes),
		Unit:  "rows",
		Axis:  axis,
	}, nothing, func(s *spread, ctx context.Context, t *compare.Trial) error {
		return r.drain(ctx, t, s.names)
	}, nil)
	open := m.Open
	m.Open = func(ctx context.Context, c *compare.Cleanup) (contenders []compare.Contender, err error) {
		if r, err = b.openRelaying(ctx, c, 5000, b.size.grown); err != nil {
			return nil, err
		}
		return open(ctx, c)
	}
	return m
}
