package recordbatch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mustAppend encodes the batch behind some bytes that are there already, and
// verifies what goes for every batch.
func mustAppend(t *testing.T, p Producer, baseSequence int32, records []Record, c Compression) []byte {
	t.Helper()
	const before = "before"
	dst, err := AppendBatch([]byte(before), p, baseSequence, records, c)
	if err != nil {
		t.Fatal(err)
	}
	if string(dst[:len(before)]) != before {
		t.Fatalf("what was in dst has become %q", dst[:len(before)])
	}
	batch := dst[len(before):]

	switch size := BatchSize(records); {
	case len(batch) > size, c == None && len(batch) < size:
		t.Fatalf("BatchSize %d, but the batch has %d bytes (%v)", size, len(batch), c)
	}
	bound := BatchOverhead
	for _, r := range records {
		bound += RecordSize(r)
	}
	if len(batch) > bound || c == None && bound > len(batch)+14*len(records) {
		t.Fatalf("the bound of %d records is %d, but the batch has %d bytes (%v)", len(records), bound, len(batch), c)
	}
	return batch
}

// reference encodes the batch with franz-go's types, without compression.
func reference(p Producer, baseSequence int32, records []Record) []byte {
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1,
		Magic:                2,
		LastOffsetDelta:      int32(len(records) - 1),
		FirstTimestamp:       millis(records[0].Timestamp),
		MaxTimestamp:         millis(records[0].Timestamp),
		ProducerID:           p.ID,
		ProducerEpoch:        p.Epoch,
		FirstSequence:        baseSequence,
		NumRecords:           int32(len(records)),
	}
	for i, r := range records {
		ts := millis(r.Timestamp)
		b.MaxTimestamp = max(b.MaxTimestamp, ts)
		record := kmsg.Record{TimestampDelta64: ts - b.FirstTimestamp, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, kmsg.Header(h))
		}
		record.Length = int32(len(record.AppendTo(nil)) - 1) // the length 0 takes one byte
		b.Records = record.AppendTo(b.Records)
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

var decompressor = kgo.DefaultDecompressor()

// decode reads the batch as franz-go's consumer does, checksum and all.
func decode(t *testing.T, batch []byte) []*kgo.Record {
	t.Helper()
	partition, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{},
		&kmsg.FetchResponseTopicPartition{RecordBatches: batch}, decompressor, nil)
	if partition.Err != nil {
		t.Fatal(partition.Err)
	}
	if next != int64(len(partition.Records)) {
		t.Fatalf("%d records, and the next offset is %d", len(partition.Records), next)
	}
	return partition.Records
}

// compare compares what was consumed with what was produced.
func compare(t *testing.T, got []*kgo.Record, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Offset != int64(i) || g.Timestamp.UnixMilli() != millis(w.Timestamp) {
			t.Errorf("record %d: offset %d, timestamp %v; want %v", i, g.Offset, g.Timestamp.UnixMilli(), millis(w.Timestamp))
		}
		if g.Attrs.TimestampType() != 0 {
			t.Errorf("record %d: timestamp type %d, want create time", i, g.Attrs.TimestampType())
		}
		same(t, fmt.Sprintf("record %d: key", i), g.Key, w.Key)
		same(t, fmt.Sprintf("record %d: value", i), g.Value, w.Value)
		if len(g.Headers) != len(w.Headers) {
			t.Errorf("record %d: %d headers, want %d", i, len(g.Headers), len(w.Headers))
			continue
		}
		for j, h := range w.Headers {
			if g.Headers[j].Key != h.Key {
				t.Errorf("record %d: header %d has the key %q, want %q", i, j, g.Headers[j].Key, h.Key)
			}
			same(t, fmt.Sprintf("record %d: header %q", i, h.Key), g.Headers[j].Value, h.Value)
		}
	}
}

// same tells null from empty.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		t.Errorf("%s is %q (null %t), want %q (null %t)", what, got, got == nil, want, want == nil)
	}
}
