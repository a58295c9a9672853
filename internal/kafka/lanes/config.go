package lanes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config is what a [Sender] needs. The zero value of a field without a default
// is an error.
type Config struct {
	// Client reaches the brokers. It must have franz-go's default of
	// acks=all, with which it overwrites what a request says. Its
	// RequestTimeoutOverhead is how long a broker may be silent beyond
	// RequestTimeout before the connection is given up.
	Client *kgo.Client
	// Identity is written into the batches; see [Identity].
	Identity Identity
	// Report is told what happens.
	Report Report
	// Logger is for what an operator should know; default: nothing is logged.
	Logger *slog.Logger
	// Compression of the batches; default: none.
	Compression recordbatch.Compression

	// EnsureTopic creates a topic that the brokers say does not exist, and
	// returns when it does; that it exists already is no error, since a
	// broker can lag behind. It is called once at a time for a topic, must
	// return when ctx ends, and may otherwise take as long as it likes. nil:
	// the sender waits for somebody else to create the topic.
	EnsureTopic func(ctx context.Context, wireTopic string) error
	// Recreated is told of a topic that was deleted and created again; nil:
	// nobody is. It must not block.
	Recreated func(wireTopic string)
	// MaxMessageBytes returns the topic's max.message.bytes from a cache: it
	// must not block. nil, or a result below 1: 1048588, Kafka's default.
	MaxMessageBytes func(wireTopic string) int

	// Patient is for a source that waits for each of its rows, and takes back
	// with [Sender.Withdraw] what it does not wait for any more. No topic is
	// held: rows wait in their lanes for as long as what is wrong can go away
	// by itself. What cannot go well until somebody changes something is
	// Refused, with every row that waits for the same topic; so are the rows of
	// a topic that the brokers have not known for HoldAfter. What has failed for
	// HoldAfter is logged, once a minute.
	Patient bool

	// HoldAfter is how long a topic may fail with errors that can go away by
	// themselves before it is held; default 2 s.
	HoldAfter time.Duration
	// MinBackoff and MaxBackoff bound the pause before something that has
	// failed is tried again, which doubles each time; default 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
	// RequestTimeout is how long the brokers may take to replicate a request
	// before they answer that it is not done. A topic with a batch that is
	// not answered for longer is held. Default 5 s.
	RequestTimeout time.Duration
	// MetadataMaxAge is after how long a topic's partitions are looked up
	// again while it is written to, so that new ones are found; default 30 s.
	MetadataMaxAge time.Duration
	// MaxInFlight is the number of requests that a broker is sent before it
	// has answered the first; default 5.
	MaxInFlight int
	// MaxRequestBytes is what the batches of a request may add up to; a
	// single batch may be larger. Default 512 KiB: with several requests that
	// are not larger one is compressed while the broker writes another, and
	// those who wait for their events produce again. With a large one they
	// all wait for the broker, and then the broker waits for them.
	MaxRequestBytes int
	// MaxBatchRecords is how many rows a batch may have; default 10,000.
	MaxBatchRecords int
}

const defaultMaxMessageBytes = 1048588

// maxBatchBytes bounds a batch of several rows, whatever its topic allows.
const maxBatchBytes = 8 << 20

// withDefaults returns c with its defaults filled in.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.HoldAfter, 2 * time.Second},
		{&c.MinBackoff, 50 * time.Millisecond},
		{&c.MaxBackoff, 5 * time.Second},
		{&c.RequestTimeout, 5 * time.Second},
		{&c.MetadataMaxAge, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&c.MaxInFlight, 5},
		{&c.MaxRequestBytes, 512 << 10},
		{&c.MaxBatchRecords, 10_000},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Client == nil:
		return errors.New("lanes: Config.Client is nil")
	case c.Client.OptValue(kgo.RequiredAcks) != kgo.AllISRAcks():
		return errors.New("lanes: Config.Client must be made with kgo.RequiredAcks(kgo.AllISRAcks()), the default: with less, what is acknowledged can be lost")
	case c.Report == nil:
		return errors.New("lanes: Config.Report is nil")
	case c.Identity.ProducerID < 0 || c.Identity.Epoch < 0:
		return fmt.Errorf("lanes: Config.Identity: producer id %d and epoch %d must not be negative", c.Identity.ProducerID, c.Identity.Epoch)
	case c.Compression < recordbatch.None || c.Compression > recordbatch.Zstd:
		return fmt.Errorf("lanes: Config.Compression: unknown %v", c.Compression)
	case c.HoldAfter < 0:
		return errors.New("lanes: Config.HoldAfter is negative")
	case c.MinBackoff < 0 || c.MaxBackoff < c.MinBackoff:
		return errors.New("lanes: Config.MinBackoff and MaxBackoff must not be negative, and the first not above the second")
	case c.RequestTimeout < time.Millisecond:
		return errors.New("lanes: Config.RequestTimeout must be at least a millisecond")
	case c.MetadataMaxAge < 0:
		return errors.New("lanes: Config.MetadataMaxAge is negative")
	case c.MaxInFlight < 1 || c.MaxRequestBytes < 1 || c.MaxBatchRecords < 1:
		return errors.New("lanes: Config.MaxInFlight, MaxRequestBytes and MaxBatchRecords must be at least 1")
	}
	return nil
}
