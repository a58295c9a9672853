package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// Config is what every client of this package needs to know about the
// cluster. The zero value of a field means the default beside it; only Brokers
// has none.
type Config struct {
	// Brokers are the addresses to begin with, host:port; without a port it
	// is 9092. The others are learned from them.
	Brokers []string
	// ClientID is the name that brokers see in their logs, quotas and
	// metrics. Default "events".
	ClientID string
	// TLS turns TLS on. Its ServerName is the host of the broker that is
	// dialed, an IP address too, unless it is set. Default nil: plaintext.
	TLS *tls.Config
	// SASL authenticates. Default nil: no authentication.
	SASL sasl.Mechanism
	// Logger gets this package's and franz-go's messages; nothing is logged
	// per record. Default: none.
	Logger *slog.Logger
	// Dialer opens connections, without TLS. Default: net.Dialer with
	// DialTimeout.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Rack is where this process is, so that brokers let it fetch from the
	// nearest replica (KIP-392). Default "": from the leader.
	Rack string
	// Compression of produced batches. Default [Snappy].
	Compression Compression
	// MinLimit is what a topic's max.message.bytes is taken for at least,
	// whatever the brokers say. Default 0.
	MinLimit int
	// DialTimeout bounds one attempt to open a connection, with the TLS
	// handshake. Default 10 s.
	DialTimeout time.Duration
	// RequestTimeout is how long a broker may take to answer, beyond the time
	// that the request itself allows it. Default 10 s.
	RequestTimeout time.Duration
	// RetryTimeout bounds the attempts at one administrative request.
	// Producing and fetching are repeated without this limit. Default 30 s.
	RetryTimeout time.Duration
	// MetadataMaxAge is how old what is known about topics may become: new
	// partitions are seen after this time at the latest. Default 30 s.
	MetadataMaxAge time.Duration
	// MetadataMinAge is the least time between two looks at the cluster's
	// metadata after an error, at most MetadataMaxAge. Default 1 s.
	MetadataMinAge time.Duration
	// FetchMaxWait is how long a broker waits for records before it answers a
	// fetch with nothing. Records are answered at once; but partitions that
	// are new to a client wait for the answer to the fetch before, and a
	// topic that was created again is recognised by six answers. Default
	// 500 ms, Kafka's own.
	FetchMaxWait time.Duration
	// FetchMaxBytes is how much one broker may send at once (a record batch that
	// is larger comes alone). franz-go asks for more when it has handed on all of
	// it, so much more than consumers work on in the time of a fetch makes them
	// wait for the next one, and fills the memory meanwhile; much less makes one
	// that is far away wait for the network. Default 4 MiB.
	FetchMaxBytes int32
	// MaxBufferedBytes bounds what is being produced and not yet
	// acknowledged; Produce waits for room. A call with more waits until it is
	// alone. Default 128 MiB.
	MaxBufferedBytes int
	// MaxBufferedRecords bounds the same by count: a record takes at least as
	// much room as if they were all of one size. Default 50,000.
	MaxBufferedRecords int
}

// Compression names a codec for produced batches.
type Compression string

// The codecs that Kafka knows.
const (
	NoCompression Compression = "none"
	Snappy        Compression = "snappy"
	Gzip          Compression = "gzip"
	LZ4           Compression = "lz4"
	Zstd          Compression = "zstd"
)

// codecs are the codecs in the words of record batches.
var codecs = map[Compression]recordbatch.Compression{
	NoCompression: recordbatch.None,
	Snappy:        recordbatch.Snappy,
	Gzip:          recordbatch.Gzip,
	LZ4:           recordbatch.LZ4,
	Zstd:          recordbatch.Zstd,
}

// withDefaults fills in the defaults.
func (c Config) withDefaults() Config {
	setDefault(&c.ClientID, "events")
	setDefault(&c.Compression, Snappy)
	setDefault(&c.DialTimeout, 10*time.Second)
	setDefault(&c.RequestTimeout, 10*time.Second)
	setDefault(&c.RetryTimeout, 30*time.Second)
	setDefault(&c.MetadataMaxAge, 30*time.Second)
	setDefault(&c.MetadataMinAge, min(time.Second, c.MetadataMaxAge))
	setDefault(&c.FetchMaxWait, 500*time.Millisecond)
	setDefault(&c.FetchMaxBytes, 4<<20)
	setDefault(&c.MaxBufferedBytes, 128<<20)
	setDefault(&c.MaxBufferedRecords, 50_000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if isNil(c.SASL) {
		c.SASL = nil
	}
	if c.Dialer == nil {
		c.Dialer = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	return c
}

// validate names the field that cannot be used. The defaults are filled in.
func (c Config) validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka: Brokers: empty; at least one address host:port is needed")
	}
	for _, b := range c.Brokers {
		if b == "" {
			return errors.New("kafka: Brokers: one of the addresses is empty")
		}
	}
	if _, ok := codecs[c.Compression]; !ok {
		return fmt.Errorf("kafka: Compression: unknown codec %q; use none, snappy, gzip, lz4 or zstd", string(c.Compression))
	}
	for _, d := range []struct {
		field string
		value time.Duration
		least time.Duration
	}{
		{"DialTimeout", c.DialTimeout, time.Millisecond},
		{"RequestTimeout", c.RequestTimeout, 100 * time.Millisecond},
		{"RetryTimeout", c.RetryTimeout, time.Millisecond},
		{"FetchMaxWait", c.FetchMaxWait, time.Millisecond},
		{"MetadataMinAge", c.MetadataMinAge, 10 * time.Millisecond},
		{"MetadataMaxAge", c.MetadataMaxAge, c.MetadataMinAge},
	} {
		if d.value < d.least {
			return fmt.Errorf("kafka: %s: %v is too short, the least is %v", d.field, d.value, d.least)
		}
	}
	if c.FetchMaxBytes < 1 {
		return fmt.Errorf("kafka: FetchMaxBytes: %d is not a size", c.FetchMaxBytes)
	}
	if c.MaxBufferedBytes < 1 {
		return fmt.Errorf("kafka: MaxBufferedBytes: %d is not a size", c.MaxBufferedBytes)
	}
	if c.MaxBufferedRecords < 1 {
		return fmt.Errorf("kafka: MaxBufferedRecords: %d is not a number of records", c.MaxBufferedRecords)
	}
	return nil
}

// idleTimeout is how long a connection may be idle: a little less than brokers
// allow by default, so that what happens rarely does not wait for a new one.
const idleTimeout = 9 * time.Minute

// options are franz-go's options that every client of this package has.
func (c Config) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.SoftwareNameAndVersion("events", "1"),
		kgo.WithLogger(newLogger(c.Logger)),
		kgo.Dialer(c.dial),
		kgo.ConnIdleTimeout(idleTimeout),
		kgo.RequestTimeoutOverhead(c.RequestTimeout),
		kgo.RetryBackoffFn(retryDelay),
		kgo.RetryTimeoutFn(func(key int16) time.Duration { return c.retryTimeout(kmsg.Key(key)) }),
		kgo.MetadataMaxAge(c.MetadataMaxAge),
		kgo.MetadataMinAge(c.MetadataMinAge),
		kgo.DisableClientMetrics(),
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(mechanism{c.SASL}))
	}
	if c.Rack != "" {
		opts = append(opts, kgo.Rack(c.Rack))
	}
	return opts
}

// retryTimeout is how long franz-go repeats a request that fails. Where this
// package repeats by itself it is short, so that the reason is known soon.
func (c Config) retryTimeout(key kmsg.Key) time.Duration {
	switch key {
	case kmsg.Metadata, kmsg.CreateTopics, kmsg.DescribeConfigs:
		return min(c.RetryTimeout, 2*time.Second)
	}
	return c.RetryTimeout
}

// maxFetch is the latest version of fetch requests that is used. From 16 on an
// answer names the leader that a partition has moved to (KIP-951). franz-go acts
// on it only when it has done with a request for metadata that is under way, and
// until then fetches from the old leader again and again, each time with one more
// goroutine that waits: while a broker does not answer that is gigabytes. Without
// the name it looks the leader up.
const maxFetch = 15

// fetching are the options of clients that consume. Transaction markers are
// kept so that positions pass them.
func (c Config) fetching() []kgo.Opt {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.Fetch.Int16(), maxFetch)
	return append(c.options(),
		kgo.MaxVersions(versions),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(c.FetchMaxWait),
		kgo.FetchMaxBytes(c.FetchMaxBytes),
	)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// isNil also finds a nil pointer inside an interface, which is what a typed nil
// becomes when it is assigned to one.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
