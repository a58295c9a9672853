package eventembed_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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

// consume polls until it has n values. A client reports what it survives, such
// as a lost connection, so errors count only when nothing more comes.
func consume(t *testing.T, cl *kgo.Client, n int) []string {
	t.Helper()
	var values []string
	var last error
	for ctx := within(t); len(values) < n; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("after %d values: %v", len(values), last)
		}
		if err := fetches.Err(); err != nil {
			last = err
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

func TestStartRefusesWhatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for want, option := range map[string]eventembed.Option{
		"Brokers(0)":            eventembed.Brokers(0),
		"Port(-1)":              eventembed.Port(-1),
		"Port(65536)":           eventembed.Port(65536),
		"ClusterID":             eventembed.ClusterID(""),
		"mechanism \"X\"":       eventembed.User("X", "u", "p"),
		"Topics(0, \"t\")":      eventembed.Topics(0, "t"),
		"create topic a b":      eventembed.Topics(1, "a b"),
		"InDir":                 eventembed.InDir(file),
		"address already in us": eventembed.Port(port),
		"group.min.session":     eventembed.Config("group.min.session.timeout.ms", "1s"),
	} {
		b, err := eventembed.Start(option)
		if err == nil {
			b.Close()
			t.Errorf("%s: no error", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustStart did not panic")
		}
	}()
	eventembed.MustStart(eventembed.Brokers(0))
}

func TestPortsAndClusterID(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().(*net.TCPAddr)
	free.Close()
	b := start(t, eventembed.Port(addr.Port), eventembed.ClusterID("mine"), eventembed.Config("message.max.bytes", "500"))
	expect(t, "address", b.Addrs()[0], addr.String())
	cl := client(t, b)
	meta, err := kadm.NewClient(cl).BrokerMetadata(within(t))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "cluster id", meta.Cluster, "mine")
	if err := b.CreateTopic("orders", 1, nil); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	err = cl.ProduceSync(within(t), &kgo.Record{Topic: "orders", Value: noise}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("message.max.bytes: got %v", err)
	}
}

func TestCloseIsIdempotentAndMeanwhileSafe(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	cl := client(t, b)
	produce(t, cl, "orders", "a")
	done := make(chan error, 20)
	for i := range 20 {
		go func() {
			if i%4 == 0 {
				done <- b.Close()
				return
			}
			_, err := b.Records("orders")
			if errors.Is(err, eventembed.ErrClosed) {
				err = nil
			}
			done <- err
		}()
	}
	for range 20 {
		if err := receive(t, done); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestADirectoryKeepsTheCluster(t *testing.T) {
	dir := t.TempDir()
	open := func() *eventembed.Broker {
		return start(t, eventembed.InDir(dir), eventembed.Topics(1, "orders"), eventembed.ClusterID("kept"))
	}
	b := open()
	if _, err := eventembed.Start(eventembed.InDir(dir)); err == nil || !strings.Contains(err.Error(), "another broker uses the directory") {
		t.Fatalf("a second broker in the directory: %v", err)
	}
	id, _ := b.TopicID("orders")
	produce(t, client(t, b), "orders", "a", "b")
	group := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit()}
	cl := client(t, b, group...)
	consume(t, cl, 2)
	if err := cl.CommitUncommittedOffsets(within(t)); err != nil {
		t.Fatal(err)
	}
	cl.Close()
	b.Close()

	b = start(t, eventembed.InDir(dir), eventembed.Topics(1, "orders", "new"), eventembed.ClusterID("other"))
	expectStored(t, b, "orders", "a", "b")
	expectStored(t, b, "new")
	expect(t, "committed", b.Committed("g", "orders", 0), 2)
	if again, _ := b.TopicID("orders"); again != id {
		t.Error("the topic has another id")
	}
	meta, err := kadm.NewClient(client(t, b)).BrokerMetadata(within(t))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "cluster id", meta.Cluster, "kept")
	produce(t, client(t, b), "orders", "c")
	got := consume(t, client(t, b, group...), 1)
	expect(t, "the record after the committed offset", got[0], "c")
}

// What does not speak Kafka's protocol is sent away, and the broker goes on.
func TestStrangersAreSentAway(t *testing.T) {
	var logs bytes.Buffer
	b := start(t, eventembed.Topics(1, "orders"), eventembed.Logger(slog.New(slog.NewTextHandler(&logs, nil))))
	strangers := []struct{ what, sent, logged string }{
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", "is this a Kafka client"},
		{"a key that does not exist", "\x00\x00\x00\x0a\x03\xe8\x00\x00\x00\x00\x00\x01\xff\xff", "a request that Kafka does not know"},
		{"a request without header", "\x00\x00\x00\x01\x00", "ends in its header"},
		{"a request that ends too early", "\x00\x00\x00\x0b\x00\x03\x00\x0c\x00\x00\x00\x01\xff\xff\x00", "Metadata request"},
	}
	for _, c := range strangers {
		conn, err := net.Dial("tcp", b.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s got an answer", c.what)
		}
		conn.Close()
	}
	produce(t, client(t, b), "orders", "a")
	b.Close()
	for _, c := range strangers {
		if !strings.Contains(logs.String(), c.logged) {
			t.Errorf("%s: %q is not in the logs:\n%s", c.what, c.logged, logs.String())
		}
	}
}
