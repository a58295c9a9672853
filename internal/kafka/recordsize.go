package kafka

import "math/bits"

// batchOverhead is what a record batch of version 2 has before its records.
const batchOverhead = 61

// RecordSize is how many bytes the record takes as a batch of its own, before
// compression: what brokers compare with max.message.bytes.
func RecordSize(r *Record) int {
	n := 1 + // attributes
		1 + // timestamp, relative to the batch's: 0
		1 + // offset, relative to the batch's: 0
		bytesSize(r.Key) + bytesSize(r.Value) +
		varintSize(len(r.Headers))
	for _, h := range r.Headers {
		n += varintSize(len(h.Key)) + len(h.Key) + bytesSize(h.Value)
	}
	return batchOverhead + varintSize(n) + n
}

// bytesSize is the size of a byte slice with its length before it; nil has the
// length -1.
func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(len(b)) + len(b)
}

// varintSize is the size of a number, at least 0, in zigzag encoding.
func varintSize(n int) int {
	return max(1, (bits.Len(uint(n))+1+6)/7)
}

// checkSize refuses a record that can never be written.
func checkSize(r *Record, limit int) error {
	if size := RecordSize(r); size > limit {
		return &TooBigError{Topic: WireTopic(r.Topic), Key: r.Key, Size: size, Limit: limit}
	}
	return nil
}
