package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Header is a header of a record. A nil Value is null, an empty one is empty.
type Header = kgo.RecordHeader

// A Record is what a batch consists of.
type Record struct {
	// Key and Value: nil is null, empty is empty. A null key is one that the
	// record does not have, a null value deletes the key from a compacted
	// topic.
	Key, Value []byte
	Headers    []Header
	// RawHeaders are headers that are encoded already, by [AppendHeaders].
	// If there are any they are written as they stand, in place of Headers.
	RawHeaders []byte
	// Timestamp is the record's create time, which a topic with
	// LogAppendTime replaces. Kafka's resolution is a millisecond. The zero
	// time is written as -1, "no timestamp".
	Timestamp time.Time
}

// A Producer is the identity by which brokers recognise a batch that they have
// already, and refuse a producer of which there is a later epoch. What has none
// is NoProducer, and not the zero value, which is a valid identity.
type Producer struct {
	ID    int64
	Epoch int16
}

// NoProducer is the identity of batches that brokers append as often as they
// come.
var NoProducer = Producer{ID: -1, Epoch: -1}

// NoSequence is the base sequence of batches without producer.
const NoSequence = -1

// NextSequence returns the base sequence of the batch that follows one of n
// records with the base sequence base. Sequence numbers count the records of a
// producer in a partition. After 2^31-1 comes 0, also in the middle of a batch.
func NextSequence(base int32, n int) int32 {
	return int32((int64(base) + int64(n)) & math.MaxInt32)
}

// ErrTooLarge is the error of a batch that the format has no numbers for. Every
// broker's limit is far below.
var ErrTooLarge = errors.New("recordbatch: the batch is larger than 2 GiB")

// The fields of a batch that are written last, and where a batch's length and
// its checksum begin to count.
const (
	lengthAt     = 8
	lengthFrom   = 12
	crcAt        = 17
	crcFrom      = 21
	attributesAt = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBatch appends the batch of these records to dst, complete with its
// checksum. Compression is used only if it makes the batch smaller. p is
// NoProducer with NoSequence, or an identity with a base sequence, which is the
// sequence number of the first record.
//
// It fails for what cannot be written (no records, an invalid identity, a batch
// that is too large), and returns dst as it was.
func AppendBatch(dst []byte, p Producer, baseSequence int32, records []Record, c Compression) ([]byte, error) {
	size := BatchSize(records)
	if err := check(p, baseSequence, records, c); err != nil {
		return dst, err
	}
	if size > math.MaxInt32 {
		return dst, ErrTooLarge
	}

	start := len(dst)
	dst = slices.Grow(dst, size)
	dst = appendHeader(dst, p, baseSequence, records)
	for i := range records {
		dst = appendRecord(dst, records, i)
	}

	batch := dst[start:]
	if body, ok := c.compress(batch[BatchOverhead:]); ok {
		batch = batch[:BatchOverhead+len(body)]
		binary.BigEndian.PutUint16(batch[attributesAt:], uint16(c))
	}
	binary.BigEndian.PutUint32(batch[lengthAt:], uint32(len(batch)-lengthFrom))
	binary.BigEndian.PutUint32(batch[crcAt:], crc32.Checksum(batch[crcFrom:], castagnoli))
	return dst[:start+len(batch)], nil
}

func check(p Producer, baseSequence int32, records []Record, c Compression) error {
	switch {
	case len(records) == 0:
		return errors.New("recordbatch: a batch without records")
	case c < None || c > Zstd:
		return fmt.Errorf("recordbatch: unknown compression %d", c)
	case p == NoProducer && baseSequence == NoSequence:
		return nil
	case p.ID < 0 || p.Epoch < 0 || baseSequence < 0:
		return fmt.Errorf("recordbatch: producer %d with epoch %d and base sequence %d: all of them must be -1, or none negative", p.ID, p.Epoch, baseSequence)
	}
	return nil
}

// appendHeader appends what comes before the records. Length, checksum and
// compression are filled in later.
func appendHeader(dst []byte, p Producer, baseSequence int32, records []Record) []byte {
	first := timestamp(records[0])
	latest := first
	for _, r := range records[1:] {
		latest = max(latest, timestamp(r))
	}
	dst = binary.BigEndian.AppendUint64(dst, 0)              // baseOffset
	dst = binary.BigEndian.AppendUint32(dst, 0)              // batchLength, later
	dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32) // partitionLeaderEpoch -1
	dst = append(dst, 2)                                     // magic
	dst = binary.BigEndian.AppendUint32(dst, 0)              // crc, later
	dst = binary.BigEndian.AppendUint16(dst, 0)              // attributes
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(records)-1))
	dst = binary.BigEndian.AppendUint64(dst, uint64(first))
	dst = binary.BigEndian.AppendUint64(dst, uint64(latest))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.ID))
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Epoch))
	dst = binary.BigEndian.AppendUint32(dst, uint32(baseSequence))
	return binary.BigEndian.AppendUint32(dst, uint32(len(records)))
}

// appendRecord appends the record i of the batch of these records.
func appendRecord(dst []byte, records []Record, i int) []byte {
	r := records[i]
	delta := timestampDelta(records, i)
	dst = binary.AppendVarint(dst, int64(bodySize(r, delta, i)))
	dst = append(dst, 0) // attributes, of which there are none
	dst = binary.AppendVarint(dst, delta)
	dst = binary.AppendVarint(dst, int64(i))
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	if len(r.RawHeaders) > 0 {
		return append(dst, r.RawHeaders...)
	}
	return AppendHeaders(dst, r.Headers)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func timestamp(r Record) int64 {
	if r.Timestamp.IsZero() {
		return -1
	}
	return r.Timestamp.UnixMilli()
}

// timestampDelta is the distance from the batch's base timestamp, which is that
// of the first record. It is negative for a record that is older.
func timestampDelta(records []Record, i int) int64 {
	return timestamp(records[i]) - timestamp(records[0])
}
