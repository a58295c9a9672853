package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
)

var produceNotes = []string{
	fmt.Sprintf("All compress with snappy, pick partitions by the events' keys, and write to %d partitions.", partitions),
	"events adds the headers of CloudEvents to each event, 150 to 200 bytes; franz-go and kafka-go have none, except for \"franz-go with the headers\", which writes the same. Payloads are encoded beforehand.",
	"franz-go: idempotent, ProducerLinger(0), ProduceSync. kafka-go: Writer with BatchTimeout 1 ms and batches of up to 1,000, not idempotent.",
	watermillNote,
}

// produce measures immediate producing: one event a call, acknowledged by all
// replicas before the call returns.
func (b bench) produce(goroutines int) compare.Measurement {
	const bytes = 1024
	p := producing{bench: b, goroutines: goroutines, perCall: 1, bytes: bytes}
	notes := produceNotes
	if goroutines > 1 {
		notes = append(slices.Clone(notes), "By the CPU profile (of 1,000 goroutines) the time of events is 24 % compression, 14 % attributes and headers, 9 % waiting for the acknowledgement or the end of the call's context, 5 % metrics. "+
			"What its headers cost, an event being 1.2 times as large, is what lies between the two rows of franz-go.")
	} else {
		notes = append(slices.Clone(notes), "Alone in its request an event pays for all of it: about 40 allocations of franz-go's client, over whose connections events sends.")
	}
	return compare.Measurement{
		Name:  fmt.Sprintf("produce/%d", goroutines),
		Title: fmt.Sprintf("produce %d bytes, one event a call, acks=all, goroutines: %d", bytes, goroutines),
		Unit:  "events",
		Goals: []compare.Goal{compare.RatioAtLeast(franzGo, 0.95), compare.AllocationsAtMost(10)},
		Notes: notes,
		Open:  p.open,
	}
}

// produceCalls measures calls with many events.
func (b bench) produceCalls() compare.Measurement {
	p := producing{bench: b, goroutines: 1, perCall: 1000, bytes: 250}
	return compare.Measurement{
		Name:  "produce/calls",
		Title: fmt.Sprintf("produce %d bytes, %d events a call, acks=all, one goroutine", p.bytes, p.perCall),
		Unit:  "events",
		Goals: []compare.Goal{compare.RatioAtLeast(franzGo, 0.8)},
		Notes: append(slices.Clone(produceNotes), "By the CPU profile a quarter of the time of events is compression, and a third makes headers and records. "+
			"With its headers an event is 1.7 times as large; what they cost is what lies between the two rows of franz-go."),
		Open: p.open,
	}
}

// producing is what the contenders of produce share.
type producing struct {
	bench
	goroutines int
	perCall    int // events
	bytes      int // of an event's payload
	payloads   [][]byte
	keys       []string
}

func (p producing) open(context.Context, *compare.Cleanup) ([]compare.Contender, error) {
	p.payloads, p.keys = newPayloads(p.bytes), newKeys()
	return []compare.Contender{
		{Name: ours, Run: p.trial(p.events)},
		{Name: franzGo, Peer: true, Run: p.trial(p.franz(bareRecord))},
		{Name: franzGo + " with the headers", Peer: true, Run: p.trial(p.franz(eventRecord))},
		{Name: kafkaGo, Peer: true, Run: p.trial(p.kafkaGo)},
		{Name: watermillName, Peer: true, Run: p.trial(p.watermill)},
	}, nil
}

// producer produces perCall events from the nth on, which chooses keys and
// payloads.
type producer func(ctx context.Context, n int) error

// trial runs the producer that open makes for a topic.
func (p producing) trial(open func(c *compare.Cleanup, topic string) (producer, error)) func(context.Context, *compare.Trial) error {
	return func(ctx context.Context, t *compare.Trial) error {
		topic, err := p.servers.Topic(ctx, &t.Cleanup, "produce", partitions)
		if err != nil {
			return err
		}
		produce, err := open(&t.Cleanup, topic)
		if err != nil {
			return err
		}
		do := func(ctx context.Context, _, n int) error { return produce(ctx, n*p.perCall) }
		warm, err := hammer(ctx, p.goroutines, p.size.produce/10, do)
		if err != nil {
			return err
		}
		t.Begin()
		produced, err := hammer(ctx, p.goroutines, p.size.produce, do)
		if err != nil {
			return err
		}
		t.End(produced * p.perCall)
		records, err := p.servers.Records(ctx, topic)
		if err != nil {
			return err
		}
		if acknowledged := (warm + produced) * p.perCall; records < acknowledged {
			return fmt.Errorf("%w: %d events were acknowledged, and the topic has %d", errMissing, acknowledged, records)
		}
		return nil
	}
}

// call returns what build makes of the key and the payload of each event of a
// call.
func call[E any](p producing, n int, build func(key string, payload []byte) E) []E {
	all := make([]E, p.perCall)
	for i := range all {
		at := (n + i) % variety
		all[i] = build(p.keys[at], p.payloads[at])
	}
	return all
}

func (p producing) events(c *compare.Cleanup, topic string) (producer, error) {
	lib := p.newLibrary(c, nil)
	return func(ctx context.Context, n int) error {
		return lib.Produce(ctx, eventmodels.ProduceImmediate, call(p, n, func(key string, payload []byte) eventmodels.ProducingEvent {
			return encodedEvent{topic: topic, key: key, contentType: eventmodels.ContentTypeJSON, payload: payload}
		})...)
	}, nil
}

// franzClient makes a client that produces without waiting for more.
func (b bench) franzClient(c *compare.Cleanup) (*kgo.Client, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.servers.Brokers...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, err
	}
	c.Defer(func(context.Context) error { client.Close(); return nil })
	return client, nil
}

// record makes a record of a topic.
type record func(topic, key string, payload []byte) *kgo.Record

func bareRecord(topic, key string, payload []byte) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: payload}
}

// franz produces the records that of makes.
func (p producing) franz(of record) func(*compare.Cleanup, string) (producer, error) {
	return func(c *compare.Cleanup, topic string) (producer, error) {
		client, err := p.franzClient(c)
		if err != nil {
			return nil, err
		}
		build := func(key string, payload []byte) *kgo.Record { return of(topic, key, payload) }
		return func(ctx context.Context, n int) error {
			return client.ProduceSync(ctx, call(p, n, build)...).FirstErr()
		}, nil
	}
}

// eventRecord has the headers that the library gives an event.
func eventRecord(topic, key string, payload []byte) *kgo.Record {
	now := time.Now()
	r := bareRecord(topic, key, payload)
	r.Headers = []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte(cloudevents.NewID(now).String())},
		{Key: "ce_source", Value: []byte(topic)},
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_type", Value: []byte(topic)},
		{Key: "ce_time", Value: now.UTC().AppendFormat(nil, time.RFC3339Nano)},
		{Key: "content-type", Value: []byte(eventmodels.ContentTypeJSON)},
	}
	return r
}

func (p producing) kafkaGo(c *compare.Cleanup, topic string) (producer, error) {
	transport := &kafka.Transport{} // of its own: one that knows older topics takes seconds to see this one
	writer := &kafka.Writer{
		Transport:    transport,
		Addr:         kafka.TCP(p.servers.Brokers...),
		Topic:        topic,
		Balancer:     kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond,
		BatchSize:    1000,
		Compression:  kafka.Snappy,
	}
	c.Defer(func(context.Context) error {
		err := writer.Close()
		transport.CloseIdleConnections()
		return err
	})
	return func(ctx context.Context, n int) error {
		return writer.WriteMessages(ctx, call(p, n, func(key string, payload []byte) kafka.Message {
			return kafka.Message{Key: []byte(key), Value: payload}
		})...)
	}, nil
}

func (p producing) watermill(c *compare.Cleanup, topic string) (producer, error) {
	publisher, err := p.watermillPublisher(c)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, n int) error {
		return publisher.Publish(topic, call(p, n, newWatermillMessage)...)
	}, nil
}
