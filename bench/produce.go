package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
)

const producedBytes = 1024

// produce measures immediate producing: one event a call, acknowledged by all
// replicas before the call returns.
func (b bench) produce(goroutines int) compare.Measurement {
	return compare.Measurement{
		Name:  fmt.Sprintf("produce/%d", goroutines),
		Title: fmt.Sprintf("produce %d bytes, one event a call, acks=all, goroutines: %d", producedBytes, goroutines),
		Unit:  "events",
		Notes: []string{
			fmt.Sprintf("All compress with snappy, pick partitions as Java does, and write to %d partitions.", partitions),
			"events adds the headers of CloudEvents to each event; the others have none. Payloads are encoded beforehand.",
			"franz-go: idempotent, ProducerLinger(0), ProduceSync. kafka-go: Writer with BatchTimeout 1 ms, not idempotent.",
		},
		Open: func(context.Context, *compare.Cleanup) ([]compare.Contender, error) {
			p := producing{bench: b, goroutines: goroutines, payloads: newPayloads(producedBytes), keys: newKeys()}
			return []compare.Contender{
				{Name: ours, Run: p.trial(p.events)},
				{Name: "franz-go", Peer: true, Run: p.trial(p.franz)},
				{Name: "kafka-go", Peer: true, Run: p.trial(p.kafkaGo)},
			}, nil
		},
	}
}

// producing is what the contenders of produce share.
type producing struct {
	bench
	goroutines int
	payloads   [][]byte
	keys       []string
}

// producer produces one event. n chooses key and payload.
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
		do := func(ctx context.Context, _, n int) error { return produce(ctx, n%variety) }
		warm, err := hammer(ctx, p.goroutines, p.size.produce/10, do)
		if err != nil {
			return err
		}
		t.Begin()
		produced, err := hammer(ctx, p.goroutines, p.size.produce, do)
		if err != nil {
			return err
		}
		t.End(produced)
		records, err := p.servers.Records(ctx, topic)
		if err != nil {
			return err
		}
		if records < warm+produced {
			return fmt.Errorf("%w: %d events were acknowledged, and the topic has %d", errMissing, warm+produced, records)
		}
		return nil
	}
}

func (p producing) events(c *compare.Cleanup, topic string) (producer, error) {
	lib := p.newLibrary(c, nil)
	return func(ctx context.Context, n int) error {
		return lib.Produce(ctx, eventmodels.ProduceImmediate, encodedEvent{
			topic: topic, key: p.keys[n], contentType: eventmodels.ContentTypeJSON, payload: p.payloads[n],
		})
	}, nil
}

func (p producing) franz(c *compare.Cleanup, topic string) (producer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(p.servers.Brokers...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, err
	}
	c.Defer(func(context.Context) error { client.Close(); return nil })
	return func(ctx context.Context, n int) error {
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(p.keys[n]), Value: p.payloads[n]}).FirstErr()
	}, nil
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
		Compression:  kafka.Snappy,
	}
	c.Defer(func(context.Context) error {
		err := writer.Close()
		transport.CloseIdleConnections()
		return err
	})
	return func(ctx context.Context, n int) error {
		return writer.WriteMessages(ctx, kafka.Message{Key: []byte(p.keys[n]), Value: p.payloads[n]})
	}, nil
}
