package main

import (
	"context"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	watermillkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// watermillNote says how Watermill was tuned where it produces or consumes.
const watermillNote = "Watermill: its Kafka publisher and subscriber with a current protocol version (its default is that of Kafka 1.0, which Kafka 4 refuses), acks=all and snappy; " +
	"the rest are its defaults. Publish sends one message after the other, whatever it is given. Its messages have one header with their UUID."

// watermillKey is the metadata by which messages are partitioned.
const watermillKey = "key"

// watermillLogger is silent: what goes wrong shows in messages that are missing,
// and what it logs besides comes from being closed.
var watermillLogger = watermill.NopLogger{}

// watermillMarshaler gives a message's key to Kafka.
func watermillMarshaler() watermillkafka.MarshalerUnmarshaler {
	return watermillkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get(watermillKey), nil
	})
}

// watermillPublisher makes a publisher to Kafka, which is closed in the cleanup.
func (b bench) watermillPublisher(c *compare.Cleanup) (*watermillkafka.Publisher, error) {
	config := watermillkafka.DefaultSaramaSyncPublisherConfig()
	config.Version = sarama.V3_6_0_0
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Compression = sarama.CompressionSnappy
	publisher, err := watermillkafka.NewPublisher(watermillkafka.PublisherConfig{
		Brokers:               b.servers.Brokers,
		Marshaler:             watermillMarshaler(),
		OverwriteSaramaConfig: config,
	}, watermillLogger)
	if err != nil {
		return nil, err
	}
	c.Defer(func(context.Context) error { return publisher.Close() })
	return publisher, nil
}

// watermillSubscribe subscribes to a topic as a member of the group, which reads
// from the beginning. The subscriber is closed in the cleanup.
func (b bench) watermillSubscribe(ctx context.Context, c *compare.Cleanup, group, topic string) (<-chan *message.Message, error) {
	config := watermillkafka.DefaultSaramaSubscriberConfig()
	config.Version = sarama.V3_6_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber, err := watermillkafka.NewSubscriber(watermillkafka.SubscriberConfig{
		Brokers:               b.servers.Brokers,
		Unmarshaler:           watermillMarshaler(),
		OverwriteSaramaConfig: config,
		ConsumerGroup:         group,
	}, watermillLogger)
	if err != nil {
		return nil, err
	}
	c.Defer(func(context.Context) error { return subscriber.Close() })
	return subscriber.Subscribe(ctx, topic)
}

// newWatermillMessage makes a message with a key.
func newWatermillMessage(key string, payload []byte) *message.Message {
	m := message.NewMessage(watermill.NewUUID(), payload)
	m.Metadata.Set(watermillKey, key)
	return m
}
