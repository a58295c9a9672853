package recordbatch

import (
	"encoding/binary"
	"math/bits"
)

// BatchOverhead is the size of a batch without its records.
const BatchOverhead = 61

// RecordSize returns an upper bound of what the record adds to a batch that is
// not compressed, wherever in a batch it stands. The bound is at most 14 bytes
// above the truth.
func RecordSize(r Record) int {
	return prefixed(1 + binary.MaxVarintLen64 + binary.MaxVarintLen32 + contentSize(r))
}

// BatchSize returns the size of the batch of these records if it is not
// compressed. With compression it is that or less.
func BatchSize(records []Record) int {
	size := BatchOverhead
	for i := range records {
		size += placedSize(records, i)
	}
	return size
}

// placedSize returns the size of the record i in the batch of these records.
func placedSize(records []Record, i int) int {
	return prefixed(bodySize(records[i], timestampDelta(records, i), i))
}

// bodySize returns the size of a record without its length.
func bodySize(r Record, timestampDelta int64, offsetDelta int) int {
	return 1 + varintSize(timestampDelta) + varintSize(int64(offsetDelta)) + contentSize(r)
}

// contentSize returns the size of what a record brings itself.
func contentSize(r Record) int {
	size := bytesSize(r.Key) + bytesSize(r.Value)
	if len(r.RawHeaders) > 0 {
		return size + len(r.RawHeaders)
	}
	return size + HeadersSize(r.Headers)
}

// HeadersSize returns how many bytes [AppendHeaders] appends.
func HeadersSize(hs []Header) int {
	size := varintSize(int64(len(hs)))
	for _, h := range hs {
		size += prefixed(len(h.Key)) + bytesSize(h.Value)
	}
	return size
}

func bytesSize(b []byte) int {
	if b == nil {
		return varintSize(-1)
	}
	return prefixed(len(b))
}

// prefixed returns the size of n bytes with their length in front.
func prefixed(n int) int { return varintSize(int64(n)) + n }

// varintSize returns the size of a zigzag varint.
func varintSize(v int64) int {
	zigzag := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(zigzag|1) + 6) / 7
}
