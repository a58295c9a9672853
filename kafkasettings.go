package events

import (
	"fmt"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// SetClientRack says where this process runs (an availability zone, for
// example), in the words of the brokers' broker.rack: brokers that have a
// replica.selector.class then let it fetch from the nearest replica (KIP-392).
// The default is "", from the leaders.
func (l *LibraryNoDB) SetClientRack(rack string) {
	l.edit("SetClientRack", func(s *settings) { s.rack = rack })
}

// SetStaticMembership makes this instance a static member of its consumer
// groups (KIP-345): one that is back within the session timeout, 20 s, gets
// its partitions back without a rebalance, and meanwhile nobody has them.
// instanceID must be the same after a restart and different in every instance,
// like the name of a Kubernetes StatefulSet's pod. Of two instances with one
// id the brokers throw the older one out. The default is no static
// membership. It panics if instanceID is empty or has other characters than
// names may have.
func (l *LibraryNoDB) SetStaticMembership(instanceID string) {
	if !LegalTopicNames.MatchString(instanceID) {
		panic(fmt.Sprintf("events: SetStaticMembership(%q): an instance id has 1 to %d of the characters [-._a-zA-Z0-9]", instanceID, maxName))
	}
	l.edit("SetStaticMembership", func(s *settings) { s.instanceID = instanceID })
}

// Compression is a codec for what is written to Kafka.
type Compression string

// The codecs of [LibraryNoDB.SetCompression], by Kafka's names.
const (
	CompressionNone   Compression = "none"
	CompressionGzip   Compression = "gzip"
	CompressionSnappy Compression = "snappy"
	CompressionLZ4    Compression = "lz4"
	CompressionZstd   Compression = "zstd"
)

// lanesCompression are the codecs in the relay's words.
var lanesCompression = map[Compression]recordbatch.Compression{
	CompressionNone:   recordbatch.None,
	CompressionGzip:   recordbatch.Gzip,
	CompressionSnappy: recordbatch.Snappy,
	CompressionLZ4:    recordbatch.LZ4,
	CompressionZstd:   recordbatch.Zstd,
}

// SetCompression sets the codec of record batches, both of Produce and of the
// relay. A batch that does not become smaller is sent as it is; consumers need
// no setting. The default is snappy for Produce, and none for the relay, which
// is fastest. It panics if codec is none of the constants.
func (l *LibraryNoDB) SetCompression(codec Compression) {
	if _, ok := lanesCompression[codec]; !ok {
		panic(fmt.Sprintf("events: SetCompression(%q): the codecs are none, gzip, snappy, lz4 and zstd", codec))
	}
	l.edit("SetCompression", func(s *settings) { s.compression = codec })
}

// SetSizeCapLowerLimit sets a lower limit, in bytes, for what the library
// takes for a topic's max.message.bytes: an event is never refused with
// [ErrTooBig] before it is sent while its record batch is not larger. It is for
// clusters that do not let a service read the topics' settings, where Kafka's
// default of 1,048,588 would be taken, and for limits that were raised while
// the service runs. What a broker then refuses is an error of Produce, or
// parked by the relay. Topics must accept that size, or small events that are
// sent together are refused together. The default is 0, no lower limit. It
// panics if bytes is negative.
func (l *LibraryNoDB) SetSizeCapLowerLimit(bytes int64) {
	if bytes < 0 {
		panic(fmt.Sprintf("events: SetSizeCapLowerLimit(%d): a size is not negative", bytes))
	}
	l.edit("SetSizeCapLowerLimit", func(s *settings) { s.sizeFloor = int(min(bytes, maxSizeFloor)) })
}

// maxSizeFloor is the largest batch that the protocol can name.
const maxSizeFloor = 1<<31 - 1

// connectConfig is how every client of the Library reaches the cluster. The
// caller holds l.mu, or the Library runs.
func (l *LibraryNoDB) connectConfig() kafka.Config {
	c := l.kafkaConfig
	c.Logger = l.loggerLocked()
	c.ClientID = l.source
	c.Dialer = l.settings.dial
	c.Rack = l.settings.rack
	c.Compression = kafka.Compression(l.settings.compression)
	c.MinLimit = l.settings.sizeFloor
	return c
}
