package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Everything that can be set, before the Library runs. A service needs few of
// them: each has a default.
func ExampleLibraryNoDB_SetTopicConfig() {
	lib := eventsqlite.NewLibrary()

	// Topics, and the names that they have in Kafka.
	lib.SetPrefix("staging.")
	lib.SetTopicConfig(kafka.TopicConfig{Topic: "orders.placed", NumPartitions: 12, ReplicationFactor: 3})

	// The way to the brokers.
	lib.SetDialer((&net.Dialer{KeepAlive: time.Minute}).DialContext)
	lib.SetClientRack("eu-west-1a")
	lib.SetCompression(events.CompressionZstd)
	lib.SetSizeCapLowerLimit(4 << 20) // the topics take 4 MiB, and this service may not read that

	// The groups.
	lib.SetStaticMembership("shop-0") // the pod's name
	lib.SetGroupBalancers(events.BalanceCooperativeSticky, events.BalanceRange)
	lib.SetMaxRunningHandlers(50)

	// Exactly-once handlers and dead letters.
	lib.SetMarkRetention(14 * 24 * time.Hour)
	lib.SetDeadLetterBackoff(5*time.Minute, time.Hour)
	lib.SetLetterCause(func(handler string, err error) string { return fmt.Sprintf("%s: %T", handler, err) })

	// Broadcasts.
	lib.ConfigureBroadcastHeartbeat(30 * time.Second)
	lib.SetBroadcastConsumerBaseName("shop")
	lib.OnBroadcastGap(func(topic string) { slog.Warn("the cache was flushed", "topic", topic) })
	lib.SkipNotifierSupport() // this process reads no notifiers

	// Seeing it.
	lib.SetLogger(slog.Default())
	lib.SetTracerProvider(sdktrace.NewTracerProvider())
	lib.SetPropagator(propagation.TraceContext{})

	// A process that leaves relaying to others, with transactions of its own.
	lib.SetLazyTxProduce(true)
	lib.SetEnhanceDB(true)

	lib.Configure(nil, nil, true, nil, nil, []string{"localhost:9092"})
	fmt.Println(lib.ValidateTopics(context.Background(), []string{"orders.placed"}))
	fmt.Println(lib.ValidateTopics(context.Background(), []string{"orders.paced"}) != nil)
	// Output:
	// <nil>
	// true
}

// What the options of a handler are for.
func ExampleHandlerOpt() {
	lib := eventsqlite.NewLibrary()
	search := events.NewConsumerGroup("search")
	placed := eventmodels.BindTopic[OrderPlaced]("orders.placed")
	handle := func(context.Context, eventmodels.Event[OrderPlaced]) error { return nil }

	lib.ConsumeIdempotent(search, eventmodels.OnFailureSave, "index", placed.Handler(handle),
		events.WithTimeout(time.Minute),              // for all attempts of an event together
		events.WithBackoff(time.Second, time.Minute), // between two of them
		events.WithConcurrency(8),                    // at most 8 at a time
		events.WithQueueDepthLimit(100),              // then the topic waits
		events.WithOrdering(events.ByKey),            // those of a key one after the other
		events.WithStart(events.StartAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))))

	// A group that is new sees only what is new.
	lib.ConsumeIdempotent(events.NewConsumerGroup("alerts"), eventmodels.OnFailureDiscard, "alert", placed.Handler(handle),
		events.WithStart(events.Latest), events.WithRetrying(false))
}

// SASL and TLS as a service reads them from its configuration.
func ExampleSASLConfig() {
	var config struct {
		SASL events.SASLConfig
		TLS  *events.TLSConfig
	}
	err := json.Unmarshal([]byte(`{"SASL": "sha512:shop:secret", "TLS": {"ServerName": "kafka.example.org"}}`), &config)
	must(err)
	fmt.Println(config.SASL.Mechanism.Name(), config.TLS.ServerName)

	lib := eventsqlite.NewLibrary()
	lib.Configure(nil, nil, false, config.SASL.Mechanism, config.TLS, []string{"kafka.example.org:9093"})
	// Output: SCRAM-SHA-512 kafka.example.org
}

// For programs that get the mechanism as a text and know that it is right.
func ExampleSASLConfigFromString() {
	fmt.Println(events.SASLConfigFromString("plain:shop:secret").Name(), events.SASLConfigFromString("none") == nil)
	// Output: PLAIN true
}

// A process that only looks needs neither handlers nor database.
func ExampleLibraryNoDB_ConsumerLag() {
	ctx := context.Background()
	broker, _, stop := exampleServers()
	defer stop()
	lib := eventsqlite.NewLibrary()
	lib.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	lib.Configure(nil, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)

	must(lib.PingBrokers(ctx))
	must(lib.CreateTopics(ctx, "example", []string{"orders.placed"}))
	lags, err := lib.ConsumerLag(ctx, events.NewConsumerGroup("billing"))
	must(err)
	for _, lag := range lags {
		fmt.Println(lag.Topic, lag.Partition, lag.Lag)
	}
	fmt.Println(len(lags), "partitions") // the group has committed nothing
	// Output: 0 partitions
}
