package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is what a test runs on.
type cluster struct {
	brokers []string
	embed   *eventembed.Broker // nil for real Kafka
	adm     *kadm.Client       // beside what is tested
	kgo     *kgo.Client
}

// onClusters runs the test on the embedded broker and on real Kafka.
func onClusters(t *testing.T, test func(t *testing.T, c *cluster)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("kafka", func(t *testing.T) { test(t, realKafka(t)) })
}

func embedded(t *testing.T, options ...eventembed.Option) *cluster {
	t.Helper()
	b, err := eventembed.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return newCluster(t, &cluster{brokers: b.Addrs(), embed: b})
}

func realKafka(t *testing.T) *cluster {
	t.Helper()
	brokers := os.Getenv("EVENTS_KAFKA_BROKERS")
	if brokers == "" {
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "kafka") {
			t.Fatal("EVENTS_KAFKA_BROKERS is not set, and EVENTS_REQUIRE wants Kafka")
		}
		t.Skip("no real Kafka: EVENTS_KAFKA_BROKERS is not set; scripts/services up starts one")
	}
	return newCluster(t, &cluster{brokers: strings.Split(brokers, ",")})
}

func newCluster(t *testing.T, c *cluster) *cluster {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(10*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c.kgo, c.adm = client, kadm.NewClient(client)
	return c
}

// config is a configuration with short times, for a cluster.
func (c *cluster) config(t *testing.T) Config {
	return Config{
		Brokers:        c.brokers,
		Logger:         testLogger(t),
		MetadataMinAge: 10 * time.Millisecond,
		MetadataMaxAge: 500 * time.Millisecond,
		RetryTimeout:   10 * time.Second,
		RequestTimeout: 3 * time.Second,
	}
}

func (c *cluster) client(t *testing.T, edit ...func(*Config)) *Client {
	t.Helper()
	cfg := c.config(t)
	for _, e := range edit {
		e(&cfg)
	}
	client, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// topic creates a topic of its own for the test.
func (c *cluster) topic(t *testing.T, partitions int, configs ...string) WireTopic {
	t.Helper()
	name := newName("t")
	c.create(t, name, partitions, configs...)
	t.Cleanup(func() {
		if c.embed == nil {
			_, _ = c.adm.DeleteTopics(context.Background(), string(name))
		}
	})
	return name
}

// create creates a topic; configs are names and values in turn.
func (c *cluster) create(t *testing.T, name WireTopic, partitions int, configs ...string) {
	t.Helper()
	set := make(map[string]*string)
	for i := 0; i < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	ctx := timeout(t)
	_, err := c.adm.CreateTopic(ctx, int32(partitions), 1, set, string(name))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "topic is in the metadata with leaders", func() bool {
		ds, err := c.adm.ListTopics(ctx, string(name))
		if err != nil || ds[string(name)].Err != nil || len(ds[string(name)].Partitions) != partitions {
			return false
		}
		for _, p := range ds[string(name)].Partitions {
			if p.Leader < 0 || p.Err != nil {
				return false
			}
		}
		return true
	})
}

func (c *cluster) delete(t *testing.T, name WireTopic) {
	t.Helper()
	if _, err := c.adm.DeleteTopic(timeout(t), string(name)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "topic is gone", func() bool {
		ds, err := c.adm.ListTopics(timeout(t), string(name))
		return err == nil && ds[string(name)].Err != nil
	})
	c.kgo.PurgeTopicsFromClient(string(name))
}

// write appends values to a partition, not through what is tested.
func (c *cluster) write(t *testing.T, topic WireTopic, partition int32, values ...string) {
	t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: string(topic), Partition: partition, Value: []byte(v)}
	}
	if err := c.kgo.ProduceSync(timeout(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// removeBelow deletes a partition's first records, as retention does.
func (c *cluster) removeBelow(t *testing.T, topic WireTopic, partition int32, offset int64) {
	t.Helper()
	os := make(kadm.Offsets)
	os.AddOffset(string(topic), partition, offset, -1)
	if _, err := c.adm.DeleteRecords(timeout(t), os); err != nil {
		t.Fatal(err)
	}
}

func newName(prefix string) WireTopic {
	return WireTopic(prefix + "-" + uuid.NewString())
}

const testTime = time.Minute

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition that nothing tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := timeout(t)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("waited in vain: " + what)
		}
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-timeout(t).Done():
		t.Fatal("waited in vain: " + what)
		panic("unreachable")
	}
}

// log is what a logger wrote.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// testLogger shows the logs of a test that fails.
func testLogger(t *testing.T) *slog.Logger {
	l := new(logged)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("logs:\n" + l.String())
		}
	})
	return l.logger(slog.LevelDebug)
}

func testDialer() *eventembed.Dialer {
	return eventembed.NewDialer("test", (&net.Dialer{}).DialContext)
}

func values(n int, format string) []string {
	vs := make([]string, n)
	for i := range vs {
		vs[i] = fmt.Sprintf(format, i)
	}
	return vs
}

func alter(name, value string) []kadm.AlterConfig {
	return []kadm.AlterConfig{{Name: name, Value: &value}}
}
