package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

const (
	broadcastBytes = 250
	broadcastRate  = 200 // events a second

	toReady           = "start to ready"
	producedToHandler = "produced to handler"

	bareReader = "bare reader"
)

// broadcastStart measures how long an instance takes until it misses nothing.
func (b bench) broadcastStart() compare.Measurement {
	return compare.Measurement{
		Name:  "broadcast/start",
		Title: fmt.Sprintf("an instance with a broadcast handler starts, one of %d after the other", b.size.starts),
		Unit:  "starts",
		Goals: []compare.Goal{compare.LatencyAtMost(toReady, 1, 300*time.Millisecond)},
		Notes: []string{
			"events: from Configure until the channel that StartConsuming returned says that it has started.",
			bareReader + ": a franz-go client without group that has asked for the ends of the topic's partitions, and so knows from where on it reads.",
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			s, err := b.openBroadcasting(ctx, c)
			if err != nil {
				return nil, err
			}
			return []compare.Contender{
				{Name: ours, Run: s.starts(s.instance)},
				{Name: bareReader, Peer: true, Run: s.starts(s.reader)},
			}, nil
		},
	}
}

// broadcastDelivery measures how long an event takes to a broadcast handler.
func (b bench) broadcastDelivery() compare.Measurement {
	return compare.Measurement{
		Name:  "broadcast/delivery",
		Title: fmt.Sprintf("from Kafka to the broadcast handler, at %d events/s", broadcastRate),
		Unit:  "events",
		Goals: []compare.Goal{compare.LatencyAtMost(producedToHandler, 0.99, 10*time.Millisecond)},
		Notes: []string{
			"From the beginning of the call that produces, a plain franz-go client's, to the handler: the way to Kafka is in it.",
			bareReader + ": a franz-go client without group that polls.",
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			s, err := b.openBroadcasting(ctx, c)
			if err != nil {
				return nil, err
			}
			return []compare.Contender{
				{Name: ours, Run: s.deliveries(s.instance, 1, broadcastRate, b.size.latency)},
				{Name: bareReader, Peer: true, Run: s.deliveries(s.reader, 1, broadcastRate, b.size.latency)},
			}, nil
		},
	}
}

// broadcasting is what the contenders of broadcasts share.
type broadcasting struct {
	bench
	topic string
}

func (b bench) openBroadcasting(ctx context.Context, c *compare.Cleanup) (*broadcasting, error) {
	topic, err := b.servers.Topic(ctx, c, "broadcast", partitions)
	return &broadcasting{bench: b, topic: topic}, err
}

// listener starts something that calls got for each order that is appended from
// then on, and returns when it misses none any more.
type listener func(ctx context.Context, c *compare.Cleanup, got func(id int64)) error

// instance is a Library.
func (s *broadcasting) instance(ctx context.Context, c *compare.Cleanup, got func(id int64)) error {
	lib := s.newLibrary(c, nil)
	lib.ConsumeBroadcast("bench", eventpg.BindTopic[order](s.topic).Handler(
		func(_ context.Context, e eventmodels.Event[order]) error { got(e.Payload.ID); return nil }))
	return consume(ctx, c, lib)
}

// reader is a bare client.
func (s *broadcasting) reader(ctx context.Context, c *compare.Cleanup, got func(id int64)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.servers.Brokers...))
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	c.Defer(func(context.Context) error {
		client.Close()
		reading.Wait()
		return nil
	})
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, s.topic)
	if err != nil {
		return err
	}
	if err := ends.Error(); err != nil {
		return err
	}
	client.AddConsumePartitions(ends.KOffsets())
	reading.Go(func() {
		for {
			fetches := client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if id, ok := orderID(r.Value); ok {
					got(id)
				}
			})
		}
	})
	return nil
}

// starts is a trial in which instances start and end.
func (s *broadcasting) starts(start listener) func(context.Context, *compare.Trial) error {
	return func(ctx context.Context, t *compare.Trial) error {
		ctx, cancel := patiently(ctx)
		defer cancel()
		once := func() (time.Duration, error) {
			var c compare.Cleanup
			begun := time.Now()
			err := start(ctx, &c, func(int64) {})
			took := time.Since(begun)
			if err == nil {
				err = c.Run(ctx)
			}
			return took, err
		}
		if _, err := once(); err != nil { // the first one of all makes the topic of heartbeats
			return err
		}
		t.Begin()
		took := make([]time.Duration, s.size.starts)
		for i := range took {
			var err error
			if took[i], err = once(); err != nil {
				return err
			}
		}
		t.End(s.size.starts)
		t.Latencies(toReady, took)
		return nil
	}
}

// deliveries is a trial in which several instances get what one client produces,
// at a rate per second for the time that it lasts.
func (s *broadcasting) deliveries(start listener, instances, rate int, lasting time.Duration) func(context.Context, *compare.Trial) error {
	return func(ctx context.Context, t *compare.Trial) error {
		ctx, cancel := context.WithTimeoutCause(ctx, patience+2*lasting, errPatience)
		t.Defer(func(context.Context) error { cancel(); return nil })
		every := time.Second / time.Duration(rate)
		counted := max(int(lasting/every), 1)
		warm := counted/10 + 1
		heard := newHeard(warm+counted, instances)
		took, err := s.listen(ctx, &t.Cleanup, start, heard)
		if err != nil {
			return err
		}
		client, err := s.franzClient(&t.Cleanup)
		if err != nil {
			return err
		}
		template := newOrder(0, broadcastBytes)
		for i := range warm + counted {
			select {
			case <-time.After(time.Until(heard.start.Add(time.Duration(i) * every))):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if i == warm {
				t.Begin()
			}
			placed := template
			placed.ID = int64(i)
			heard.produced[i] = time.Since(heard.start)
			client.Produce(ctx, &kgo.Record{Topic: s.topic, Key: []byte(orderKey(placed.ID)), Value: placed.json()}, func(_ *kgo.Record, err error) {
				if err != nil {
					cancel()
				}
			})
		}
		if err := await(ctx, heard.done); err != nil {
			return fmt.Errorf("%w: %d deliveries are missing", err, heard.missing.Load())
		}
		t.End(counted * instances)
		t.Latencies(producedToHandler, heard.latencies(warm))
		if instances > 1 {
			t.Latencies(toReady, took)
		}
		return nil
	}
}

// starting is how many instances start at the same time.
const starting = 4

// listen starts an instance for each of those that hear, and returns how long
// each took.
func (s *broadcasting) listen(ctx context.Context, c *compare.Cleanup, start listener, heard *heard) ([]time.Duration, error) {
	took := make([]time.Duration, len(heard.at))
	cleanups := make([]compare.Cleanup, len(heard.at))
	c.Defer(func(ctx context.Context) error {
		return divide(ctx, starting, len(cleanups), func(ctx context.Context, _, n int) error { return cleanups[n].Run(ctx) })
	})
	err := divide(ctx, starting, len(heard.at), func(_ context.Context, _, n int) error {
		begun := time.Now()
		err := start(ctx, &cleanups[n], func(id int64) { heard.mark(n, id) })
		took[n] = time.Since(begun)
		return err
	})
	heard.start = time.Now()
	return took, err
}
