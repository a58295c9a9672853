package recordbatch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)

// samples are records with everything that a record can have.
func samples() []Record {
	return []Record{
		{Key: []byte("key"), Value: []byte("value"), Timestamp: noon, Headers: []Header{{Key: "id", Value: []byte("1")}, {Key: "id", Value: []byte("2")}}},
		{Key: nil, Value: nil, Timestamp: noon.Add(-time.Hour)},                                                          // null, and older than the first
		{Key: []byte{}, Value: []byte{}, Timestamp: noon.Add(time.Hour)},                                                 // empty, and the latest
		{Key: []byte("no timestamp"), Headers: []Header{{Key: "null", Value: nil}, {Key: "empty", Value: []byte{}}, {}}}, //
		{Key: []byte("long"), Value: bytes.Repeat([]byte("0123456789"), 3000), Timestamp: noon},                          //
		{Value: []byte("a micro"), Timestamp: noon.Add(999 * time.Microsecond)},                                          // is cut off
		{Value: []byte("first day"), Timestamp: time.UnixMilli(0)},                                                       //
		{Value: []byte("last year of kgo"), Timestamp: time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)},                    //
		{Value: []byte("before Kafka"), Timestamp: time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC)},                        //
		{Key: bytes.Repeat([]byte{0xff}, 200), Headers: []Header{{Key: strings.Repeat("k", 200), Value: nil}}},           //
	}
}

// TestBytes spells a batch out.
func TestBytes(t *testing.T) {
	records := []Record{
		{Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(1000), Headers: []Header{{Key: "h", Value: nil}}},
		{Value: []byte{}, Timestamp: time.UnixMilli(999)},
	}
	want := strings.Join([]string{
		"0000000000000000", // baseOffset
		"00000044",         // batchLength: 80 - 12
		"ffffffff",         // partitionLeaderEpoch
		"02",               // magic
		"42c10eb0",         // crc
		"0000",             // attributes
		"00000001",         // lastOffsetDelta
		"00000000000003e8", // baseTimestamp
		"00000000000003e8", // maxTimestamp
		"0000000000000fa1", // producerId
		"0007",             // producerEpoch
		"00000002",         // baseSequence
		"00000002",         // records
		"16",               // length 11
		"00",               // attributes
		"00",               // timestampDelta
		"00",               // offsetDelta
		"026b",             // key
		"0276",             // value
		"02",               // one header
		"0268",             // its key
		"01",               // its value: null
		"0c",               // length 6
		"00",               // attributes
		"01",               // timestampDelta -1
		"02",               // offsetDelta 1
		"01",               // key: null
		"00",               // value: empty
		"00",               // no headers
	}, "")
	got := hex.EncodeToString(mustAppend(t, Producer{ID: 4001, Epoch: 7}, 2, records, None))
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// What franz-go's types encode has the same bytes, and what franz-go consumes
// are the same records, in all compressions.
func TestAppendBatch(t *testing.T) {
	for _, p := range []struct {
		Producer
		sequence int32
	}{
		{NoProducer, NoSequence},
		{Producer{}, 0},
		{Producer{ID: 1, Epoch: 2}, 3},
		{Producer{ID: math.MaxInt64, Epoch: math.MaxInt16}, math.MaxInt32},
	} {
		records := samples()
		if got, want := mustAppend(t, p.Producer, p.sequence, records, None), reference(p.Producer, p.sequence, records); !bytes.Equal(got, want) {
			t.Errorf("%+v:\n%x, want\n%x", p, got, want)
		}
		for c := None; c <= Zstd; c++ {
			batch := mustAppend(t, p.Producer, p.sequence, records, c)
			if got := Compression(batch[attributesAt+1]); got != c || batch[attributesAt] != 0 {
				t.Errorf("%v: the attributes are %x", c, batch[attributesAt:attributesAt+2])
			}
			compare(t, decode(t, batch), records)
			for _, r := range decode(t, batch) {
				if r.ProducerID != p.ID || r.ProducerEpoch != p.Epoch {
					t.Errorf("%v: producer %d, epoch %d, want %+v", c, r.ProducerID, r.ProducerEpoch, p)
				}
			}
		}
	}
}

// What does not become smaller is not compressed.
func TestIncompressible(t *testing.T) {
	value := make([]byte, 1000)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(value)
	records := []Record{{Value: value, Timestamp: noon}}
	for c := Gzip; c <= Zstd; c++ {
		batch := mustAppend(t, NoProducer, NoSequence, records, c)
		if !bytes.Equal(batch, reference(NoProducer, NoSequence, records)) {
			t.Errorf("%v: not what it is without compression", c)
		}
	}
}

func TestManyRecords(t *testing.T) {
	records := make([]Record, 20_000)
	for i := range records {
		records[i] = Record{Key: fmt.Append(nil, i), Timestamp: noon.Add(time.Duration(i%777) * -time.Second)}
	}
	for c := None; c <= Zstd; c++ {
		compare(t, decode(t, mustAppend(t, Producer{ID: 1}, 0, records, c)), records)
	}
}

func TestRefused(t *testing.T) {
	one := []Record{{Value: []byte("v")}}
	for _, test := range []struct {
		name     string
		producer Producer
		sequence int32
		records  []Record
		c        Compression
	}{
		{"no records", NoProducer, NoSequence, nil, None},
		{"negative id", Producer{ID: -1, Epoch: 1}, 0, one, None},
		{"negative epoch", Producer{ID: 1, Epoch: -1}, 0, one, None},
		{"negative sequence", Producer{ID: 1, Epoch: 1}, NoSequence, one, None},
		{"sequence without producer", NoProducer, 0, one, None},
		{"unknown compression", NoProducer, NoSequence, one, Zstd + 1},
		{"negative compression", NoProducer, NoSequence, one, None - 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dst := []byte("before")
			got, err := AppendBatch(dst, test.producer, test.sequence, test.records, test.c)
			if err == nil || string(got) != "before" {
				t.Errorf("%q, error %v", got, err)
			}
		})
	}

	// 2 GiB, which is the same megabyte 2048 times.
	huge := make([]Record, 2048)
	for i := range huge {
		huge[i].Value = one1MiB
	}
	if got, err := AppendBatch(nil, NoProducer, NoSequence, huge, None); !errors.Is(err, ErrTooLarge) || got != nil {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

var one1MiB = make([]byte, 1<<20)

func TestNextSequence(t *testing.T) {
	for _, test := range []struct {
		base int32
		n    int
		want int32
	}{
		{0, 0, 0},
		{0, 1, 1},
		{41, 100, 141},
		{math.MaxInt32 - 1, 1, math.MaxInt32},
		{math.MaxInt32, 1, 0},
		{math.MaxInt32, 2, 1},
		{math.MaxInt32 - 3, 10, 6},
		{math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1},
		{7, 1 << 31, 7},
	} {
		if got := NextSequence(test.base, test.n); got != test.want {
			t.Errorf("NextSequence(%d, %d) = %d, want %d", test.base, test.n, got, test.want)
		}
	}
}

func TestCompressionString(t *testing.T) {
	if got := fmt.Sprint(None, Gzip, Snappy, LZ4, Zstd, Compression(9)); got != "none gzip snappy lz4 zstd Compression(9)" {
		t.Error(got)
	}
}

func TestAllocations(t *testing.T) {
	records := samples()
	dst := make([]byte, 0, BatchSize(records))
	if n := testing.AllocsPerRun(100, func() {
		if _, err := AppendBatch(dst, NoProducer, NoSequence, records, None); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { BatchSize(records); RecordSize(records[0]) }); n != 0 {
		t.Errorf("%v allocations for sizes", n)
	}
}

// FuzzBatch compares the encoder with franz-go's, and what franz-go's consumer
// reads with what was given.
func FuzzBatch(f *testing.F) {
	f.Add([]byte("keyvalue"), []byte{0, 3, 5, 1, 0, 0, 0, 0}, int64(0), int8(0))
	f.Add([]byte("the quick brown fox jumps over the lazy dog"), []byte{2, 0, 0xff, 2, 0, 4, 1, 9, 0xff, 0, 0xff, 3}, int64(1_700_000_000_000), int8(4))
	f.Add(bytes.Repeat([]byte("compressible "), 400), bytes.Repeat([]byte{1, 40, 200, 3, 17, 0}, 12), int64(-5), int8(2))
	f.Add([]byte{}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7, 7}, int64(math.MaxInt64), int8(3))
	f.Fuzz(func(t *testing.T, data, shape []byte, base int64, codec int8) {
		next := func() (b byte) {
			if len(shape) > 0 {
				b, shape = shape[0], shape[1:]
			}
			return b
		}
		take := func() []byte { // null, empty, or some of the data
			n := next()
			if n == 0xff {
				return nil
			}
			start := int(n) * 7 % (len(data) + 1)
			end := min(start+int(n)*int(n%5), len(data))
			return append([]byte{}, data[start:end]...)
		}
		var records []Record
		for len(shape) > 0 || len(records) == 0 {
			r := Record{Key: take(), Value: take()}
			switch kind := next(); kind % 8 {
			case 0: // no timestamp
			case 1:
				r.Timestamp = time.UnixMilli(base).Add(time.Duration(kind) * -time.Hour)
			default:
				r.Timestamp = time.UnixMilli(base + int64(kind))
			}
			if r.Timestamp.Year() < 1700 || r.Timestamp.Year() > 2250 { // not for kgo, which counts in ns
				r.Timestamp = time.Time{}
			}
			for range next() % 4 {
				r.Headers = append(r.Headers, Header{Key: string(take()), Value: take()})
			}
			records = append(records, r)
		}

		p, sequence := Producer{ID: base & math.MaxInt64, Epoch: int16(codec) & math.MaxInt8}, int32(base&math.MaxInt32)
		if base < 0 {
			p, sequence = NoProducer, NoSequence
		}
		if got, want := mustAppend(t, p, sequence, records, None), reference(p, sequence, records); !bytes.Equal(got, want) {
			t.Fatalf("%x, want\n%x", got, want)
		} else if size := BatchSize(records); size != len(got) {
			t.Fatalf("BatchSize says %d bytes of a batch that has %d", size, len(got))
		}
		c := Compression(uint8(codec) % 5)
		compare(t, decode(t, mustAppend(t, p, sequence, records, c)), records)
	})
}

func BenchmarkAppendBatch(b *testing.B) {
	records := make([]Record, 500)
	for i := range records {
		records[i] = Record{
			Key:       fmt.Appendf(nil, "customer-%d", i),
			Value:     fmt.Appendf(nil, `{"order":%d,"items":[{"sku":"A-%d","quantity":%d}],"note":"leave it at the door"}`, i, i*7, i%5),
			Timestamp: noon,
			Headers:   []Header{{Key: "ce_id", Value: fmt.Appendf(nil, "%032x", i)}, {Key: "ce_source", Value: []byte("/orders")}, {Key: "ce_type", Value: []byte("order.created")}},
		}
	}
	for c := None; c <= Zstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			dst := make([]byte, 0, BatchSize(records))
			b.SetBytes(int64(BatchSize(records)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendBatch(dst, NoProducer, NoSequence, records, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
