package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

const consumedBytes = 250

// consumePlain measures consuming what other programs write: records with one
// header, which says that payloads are to be left as they are.
func (b bench) consumePlain() compare.Measurement {
	return b.consumeMeasurement(reading{
		kind: "plain", how: "records of another program with one header, payloads are left as they are", fill: b.fillPlain,
		goals: []compare.Goal{compare.RatioAtLeast(franzGo, 0.5), compare.AllocationsAtMost(6)},
		spent: "Where the CPU time of events goes, by profile (GC and allocation are in each): franz-go's fetch, decompression and records 28 %; attributes and type of content 18 %; " +
			"a verdict, acknowledgement, the next event's admission and its context, under the engine's lock 20 % (waiting for it is less than 1 %); " +
			"payload and handler 8 %; metrics 7 %; the garbage collector's own goroutines 6 %; the rest is the clock and switching between goroutines. " +
			"Each event has a context, a deadline, a verdict and metrics of its own; franz-go's loop has none of these.",
	})
}

// consumeRaw measures consuming events of the library without decoding.
func (b bench) consumeRaw() compare.Measurement {
	return b.consumeMeasurement(reading{
		kind: "raw", how: "events with the headers of CloudEvents, payloads are left as they are",
		fill: func(ctx context.Context, topic string, n int) error {
			return b.fillTopic(ctx, topic, contentTypeRaw, n)
		},
		goals: []compare.Goal{compare.RatioAtLeast(franzGo, 0.5)},
	})
}

// consumeJSON measures consuming with payloads decoded into a struct.
func (b bench) consumeJSON() compare.Measurement {
	return b.consumeMeasurement(reading{
		kind: "json", how: "events with the headers of CloudEvents, JSON decoded into a struct of 7 fields by encoding/json", decode: true,
		fill: func(ctx context.Context, topic string, n int) error {
			return b.fillTopic(ctx, topic, eventmodels.ContentTypeJSON, n)
		},
	})
}

// reading is a kind of consuming.
type reading struct {
	kind, how string
	decode    bool
	fill      func(ctx context.Context, topic string, n int) error
	goals     []compare.Goal
	spent     string // where the time goes; "" is no note
}

func (b bench) consumeMeasurement(r reading) compare.Measurement {
	notes := []string{
		"Timed to the last event, from the moment when the partitions were assigned (events, franz-go) or, where nothing tells it, from the first event; all read the same topic.",
		"franz-go: one goroutine polls, marks and commits each second. kafka-go: Reader with GroupID and CommitInterval 1 s, FetchMessage and CommitMessages.",
		"Watermill reads a tenth of them: each partition waits for the acknowledgement of every single message. " + watermillNote,
	}
	if r.spent != "" {
		notes = append(notes, r.spent)
	}
	return compare.Measurement{
		Name:  "consume/" + r.kind,
		Title: fmt.Sprintf("%d events of %d bytes consumed by a group of one, handler without work: %s", b.size.consumed, consumedBytes, r.how),
		Unit:  "events",
		Notes: notes,
		Goals: r.goals,
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			topic, err := b.servers.Topic(ctx, c, "consume", partitions)
			if err != nil {
				return nil, err
			}
			if err := r.fill(ctx, topic, b.size.consumed); err != nil {
				return nil, err
			}
			read := &consuming{bench: b, n: b.size.consumed, topics: []string{topic}, decode: r.decode}
			return []compare.Contender{
				{Name: ours, Run: read.events},
				{Name: franzGo, Peer: true, Run: read.franz},
				{Name: kafkaGo, Peer: true, Run: read.kafkaGo},
				{Name: watermillName, Peer: true, Run: read.watermill},
			}, nil
		},
	}
}

// fillPlain produces n records of consumedBytes with the content type alone.
func (b bench) fillPlain(ctx context.Context, topic string, n int) error {
	var c compare.Cleanup
	client, err := b.franzClient(&c)
	if err != nil {
		return err
	}
	payloads, keys := newPayloads(consumedBytes), newKeys()
	headers := []kgo.RecordHeader{{Key: "content-type", Value: []byte(contentTypeRaw)}}
	const perCall = 1000
	err = divide(ctx, 2, (n+perCall-1)/perCall, func(ctx context.Context, _, call int) error {
		var batch []*kgo.Record
		for i := call * perCall; i < min((call+1)*perCall, n); i++ {
			batch = append(batch, &kgo.Record{Topic: topic, Key: []byte(keys[i%variety]), Value: payloads[i%variety], Headers: headers})
		}
		return client.ProduceSync(ctx, batch...).FirstErr()
	})
	return errors.Join(err, c.Run(ctx))
}

// fillTopic produces n events of consumedBytes.
func (b bench) fillTopic(ctx context.Context, topic, contentType string, n int) error {
	var c compare.Cleanup
	lib := b.newLibrary(&c, nil)
	payloads, keys := newPayloads(consumedBytes), newKeys()
	const perCall = 1000
	err := divide(ctx, 2, (n+perCall-1)/perCall, func(ctx context.Context, _, call int) error {
		var batch []eventmodels.ProducingEvent
		for i := call * perCall; i < min((call+1)*perCall, n); i++ {
			batch = append(batch, encodedEvent{topic: topic, key: keys[i%variety], contentType: contentType, payload: payloads[i%variety]})
		}
		return lib.Produce(ctx, eventmodels.ProduceImmediate, batch...)
	})
	return errors.Join(err, c.Run(ctx))
}

// consuming is what the contenders of consume share.
type consuming struct {
	bench
	n      int      // events in the topics
	topics []string // one, where not only franz-go reads
	decode bool
}

// counter begins a trial when the handlers are ready, or with the first event if
// that comes before, and knows when the last one has come.
type counter struct {
	trial *compare.Trial
	want  int64
	got   atomic.Int64
	done  chan struct{}
}

func newCounter(t *compare.Trial, want int) *counter {
	return &counter{trial: t, want: int64(want), done: make(chan struct{})}
}

// add is told of an event.
func (c *counter) add() {
	c.trial.Begin()
	if c.got.Add(1) == c.want {
		close(c.done)
	}
}

func (r *consuming) events(ctx context.Context, t *compare.Trial) error {
	count := newCounter(t, r.n)
	lib := r.newLibrary(&t.Cleanup, nil)
	group := events.NewConsumerGroup(r.servers.Group(&t.Cleanup, "consume"))
	if r.decode {
		lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "bench", eventpg.BindTopic[order](r.topics[0]).Handler(
			func(context.Context, eventmodels.Event[order]) error { count.add(); return nil }))
	} else {
		lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "bench", eventpg.BindTopic[[]byte](r.topics[0]).Handler(
			func(context.Context, eventmodels.Event[[]byte]) error { count.add(); return nil }))
	}
	return count.consume(ctx, lib)
}

// consume starts the handlers of lib, which tell the counter, and ends the trial
// when all events have come.
func (c *counter) consume(ctx context.Context, lib *eventpg.Library) error {
	ctx, cancel := patiently(ctx)
	defer cancel()
	if err := consume(ctx, &c.trial.Cleanup, lib); err != nil {
		return err
	}
	c.trial.Begin()
	if err := await(ctx, c.done); err != nil {
		return fmt.Errorf("%w: %d of %d events have come", err, c.got.Load(), c.want)
	}
	c.trial.End(int(c.want))
	return nil
}

func (r *consuming) franz(ctx context.Context, t *compare.Trial) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(r.servers.Brokers...),
		kgo.ConsumerGroup(r.servers.Group(&t.Cleanup, "consume-franz")),
		kgo.ConsumeTopics(r.topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(time.Second),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { t.Begin() }),
	)
	if err != nil {
		return err
	}
	t.Defer(func(context.Context) error { client.CloseAllowingRebalance(); return nil })
	ctx, cancel := patiently(ctx)
	defer cancel()
	for got := 0; got < r.n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%w: %d of %d events have come", err, got, r.n)
		}
		records := fetches.Records()
		for _, record := range records {
			if err := r.use(record.Value); err != nil {
				return err
			}
		}
		got += len(records)
		client.MarkCommitRecords(records...)
		client.AllowRebalance()
	}
	t.End(r.n)
	return nil
}

func (r *consuming) kafkaGo(ctx context.Context, t *compare.Trial) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:        r.servers.Brokers,
		GroupID:        r.servers.Group(&t.Cleanup, "consume-kafka-go"),
		Topic:          r.topics[0],
		StartOffset:    kafka.FirstOffset,
		CommitInterval: time.Second,
		MinBytes:       1,
		MaxBytes:       10 << 20,
	})
	t.Defer(func(context.Context) error { return reader.Close() })
	ctx, cancel := patiently(ctx)
	defer cancel()
	for got := range r.n {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return fmt.Errorf("%w: %d of %d events have come", err, got, r.n)
		}
		t.Begin()
		if err := r.use(message.Value); err != nil {
			return err
		}
		if err := reader.CommitMessages(ctx, message); err != nil {
			return err
		}
	}
	t.End(r.n)
	return nil
}

func (r *consuming) watermill(ctx context.Context, t *compare.Trial) error {
	ctx, cancel := patiently(ctx)
	defer cancel()
	messages, err := r.watermillSubscribe(ctx, &t.Cleanup, r.servers.Group(&t.Cleanup, "consume-watermill"), r.topics[0])
	if err != nil {
		return err
	}
	want := r.n / 10
	for got := range want {
		select {
		case m := <-messages:
			t.Begin()
			if err := r.use(m.Payload); err != nil {
				return err
			}
			m.Ack()
		case <-ctx.Done():
			return fmt.Errorf("%w: %d of %d events have come", context.Cause(ctx), got, want)
		}
	}
	t.End(want)
	return nil
}

// use is what a peer does with a payload.
func (r *consuming) use(payload []byte) error {
	if !r.decode {
		return nil
	}
	var decoded order
	return json.Unmarshal(payload, &decoded)
}
