package recordbatch

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestHeadersRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []Header
		size    int
	}{
		{"none", nil, 1},
		{"one", []Header{{Key: "k", Value: []byte("v")}}, 5},
		{"empty key and value", []Header{{Key: "", Value: []byte{}}}, 3},
		{"null value", []Header{{Key: "k", Value: nil}}, 4},
		{"same key twice", []Header{{Key: "k", Value: []byte("1")}, {Key: "k", Value: []byte("2")}}, 9},
		{"not text", []Header{{Key: "\x00\xff", Value: []byte{0, 0xff}}}, 7},
		{"long", []Header{{Key: string(make([]byte, 64)), Value: make([]byte, 9000)}}, 1 + 2 + 64 + 3 + 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := AppendHeaders([]byte("before"), c.headers)[len("before"):]
			if len(raw) != c.size {
				t.Errorf("%d bytes, want %d", len(raw), c.size)
			}
			got, err := ReadHeaders(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.headers) {
				t.Errorf("read %q, want %q", got, c.headers)
			}
		})
	}
}

func TestReadHeadersRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"negative number", []byte{1}},
		{"number without headers", []byte{2}},
		{"number beyond the bytes", []byte{0x80, 0x80, 0x80, 0x10, 0, 0}},
		{"number that does not end", []byte{0x80}},
		{"number beyond 32 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}},
		{"number in more than five bytes", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}},
		{"null key", []byte{2, 1, 1}},
		{"key beyond the bytes", []byte{2, 8, 'k'}},
		{"value missing", []byte{2, 2, 'k'}},
		{"value of negative length", []byte{2, 2, 'k', 3}},
		{"value beyond the bytes", []byte{2, 2, 'k', 4, 'v'}},
		{"more after the last", []byte{2, 2, 'k', 2, 'v', 0}},
		{"more after none", []byte{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ReadHeaders(c.b); !errors.Is(err, ErrHeaders) {
				t.Errorf("read %q, error %v", got, err)
			}
		})
	}
}

// TestRawHeaders compares batches whose headers are encoded before with those
// whose headers are not: nothing must differ.
func TestRawHeaders(t *testing.T) {
	sets := [][]Header{nil, {{Key: "a", Value: []byte("1")}, {Key: "b", Value: nil}}, {{Key: "", Value: []byte{}}}}
	var plain, raw []Record
	for _, hs := range sets {
		plain = append(plain, Record{Key: []byte("key"), Value: []byte("value"), Headers: hs})
		raw = append(raw, Record{Key: []byte("key"), Value: []byte("value"), RawHeaders: AppendHeaders(nil, hs), Headers: []Header{{Key: "ignored", Value: nil}}})
	}
	raw[0].Headers, raw[0].RawHeaders = nil, nil // as an outbox row without headers may be
	for i := range plain {
		if got, want := RecordSize(raw[i]), RecordSize(plain[i]); got != want {
			t.Errorf("record %d: RecordSize %d, want %d", i, got, want)
		}
	}
	if got, want := BatchSize(raw), BatchSize(plain); got != want {
		t.Errorf("BatchSize %d, want %d", got, want)
	}
	for c := None; c <= Zstd; c++ {
		want, err := AppendBatch(nil, Producer{ID: 1, Epoch: 2}, 3, plain, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendBatch(nil, Producer{ID: 1, Epoch: 2}, 3, raw, c)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v: the batches differ:\n% x\n% x", c, got, want)
		}
	}
}

// FuzzReadHeaders: what is read and written again is the same headers, and what
// is read is what a Kafka client reads in a record.
func FuzzReadHeaders(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add(AppendHeaders(nil, []Header{{Key: "k", Value: []byte("v")}, {Key: "", Value: nil}}))
	f.Add([]byte{0x80, 0x80, 0x80, 0x10, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		hs, err := ReadHeaders(b)
		if err != nil {
			return
		}
		again, err := ReadHeaders(AppendHeaders(nil, hs))
		if err != nil || !reflect.DeepEqual(again, hs) {
			t.Fatalf("read %q, written and read again %q, error %v", hs, again, err)
		}
		batch, err := AppendBatch(nil, NoProducer, NoSequence, []Record{{RawHeaders: b}}, None)
		if err != nil {
			t.Fatal(err)
		}
		var decoded kmsg.RecordBatch
		if err := decoded.ReadFrom(batch); err != nil {
			t.Fatal(err)
		}
		records, err := kfake.BatchRecords(decoded)
		if err != nil || len(records) != 1 {
			t.Fatalf("a client reads %d records, error %v", len(records), err)
		}
		if got := records[0].Headers; len(got) != len(hs) {
			t.Fatalf("a client reads headers %q, want %q", got, hs)
		} else {
			for i := range hs {
				if got[i].Key != hs[i].Key || !bytes.Equal(got[i].Value, hs[i].Value) || (got[i].Value == nil) != (hs[i].Value == nil) {
					t.Fatalf("a client reads header %q, want %q", got[i], hs[i])
				}
			}
		}
	})
}
