package recordbatch

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Compression is how the records of a batch are compressed, with the numbers
// that it has in a batch's attributes.
type Compression int8

// The compressions that Kafka knows.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	default:
		return fmt.Sprintf("Compression(%d)", int8(c))
	}
}

// codecs are those that franz-go's own producer uses, with their pools and
// their levels, so that what goes through the outbox is compressed like what
// does not. They are made when first used: some are large.
var codecs = [...]func() kgo.Compressor{
	Gzip:   codec(kgo.GzipCompression()),
	Snappy: codec(kgo.SnappyCompression()),
	LZ4:    codec(kgo.Lz4Compression()),
	Zstd:   codec(kgo.ZstdCompression()),
}

func codec(c kgo.CompressionCodec) func() kgo.Compressor {
	return sync.OnceValue(func() kgo.Compressor {
		compressor, err := kgo.DefaultCompressor(c)
		if err != nil {
			panic("recordbatch: " + err.Error()) // only for a codec that does not exist
		}
		return compressor
	})
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// compress replaces b by what it is compressed, and reports whether it has:
// what would not become smaller stays as it is.
func (c Compression) compress(b []byte) ([]byte, bool) {
	if c == None {
		return b, false
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	compressed, used := codecs[c]().Compress(buffer, b)
	if used != kgo.CompressionCodecType(c) || len(compressed) >= len(b) {
		return b, false
	}
	return b[:copy(b, compressed)], true
}
