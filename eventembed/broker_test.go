package eventembed_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a broker that is closed at the end of the test.
func start(t *testing.T, options ...eventembed.Option) *eventembed.Broker {
	t.Helper()
	b, err := eventembed.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// client makes a client that is closed at the end of the test, before brokers
// that were started before it.
func client(t *testing.T, b *eventembed.Broker, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	defaults := []kgo.Opt{
		kgo.SeedBrokers(b.Addrs()...),
		kgo.MetadataMinAge(20 * time.Millisecond), // how long a lost connection holds its partitions back; 5 s by default
	}
	cl, err := kgo.NewClient(append(defaults, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// within is a context that ends long after everything in a test should have
// happened.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func produce(t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("produce %q: %v", v, err)
		}
	}
}

// consume polls until it has n values.
func consume(t *testing.T, cl *kgo.Client, n int) []string {
	t.Helper()
	var values []string
	for len(values) < n {
		fetches := cl.PollFetches(within(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d values: %v", len(values), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestProduceAndConsumeOverTCP(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	produce(t, client(t, b), "orders", "a", "b")
	got := consume(t, client(t, b, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g")), 2)
	if got[0] != "a" || got[1] != "b" {
		t.Fatalf("got %v", got)
	}
}
