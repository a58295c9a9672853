package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reading is what a range held, and the chunks' bounds.
type reading struct {
	values []string
	bounds [][2]int64
}

func readRange(t *testing.T, c *Client, r LogRange) reading {
	t.Helper()
	var got reading
	for chunk, err := range c.Read(timeout(t), r) {
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range chunk.Records {
			if rec.Offset < chunk.From || rec.Offset >= chunk.Next || rec.Topic != string(r.Topic) || rec.Partition != r.Partition {
				t.Errorf("record %d of %s/%d is in the chunk [%d, %d) of %s", rec.Offset, rec.Topic, rec.Partition, chunk.From, chunk.Next, r)
			}
			got.values = append(got.values, string(rec.Value))
		}
		if n := len(got.bounds); n > 0 && got.bounds[n-1][1] > chunk.From || chunk.Next > r.To {
			t.Errorf("the chunk [%d, %d) follows %v in a range up to %d", chunk.From, chunk.Next, got.bounds, r.To)
		}
		got.bounds = append(got.bounds, [2]int64{chunk.From, chunk.Next})
	}
	return got
}

// end is where the last chunk ended.
func (r reading) end() int64 {
	if len(r.bounds) == 0 {
		return -1
	}
	return r.bounds[len(r.bounds)-1][1]
}

func logRange(t *testing.T, c *Client, tp TopicPartition) LogRange {
	t.Helper()
	ranges, err := c.LogRanges(timeout(t), []WireTopic{tp.Topic})
	if err != nil {
		t.Fatal(err)
	}
	r, ok := ranges[tp]
	if !ok {
		t.Fatalf("%s is not among %v", tp, ranges)
	}
	return r
}

// Whatever part is asked for, in chunks of whatever size, is what was written.
func TestReadRange(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 2)
		client := c.client(t)
		var all []string
		for i := range 20 { // batches of 1 to 20 records
			batch := values(i+1, fmt.Sprintf("%d-%%d-%s", i, strings.Repeat("x", 50)))
			c.write(t, topic, 1, batch...)
			all = append(all, batch...)
		}
		tp := TopicPartition{topic, 1}
		whole := logRange(t, client, tp)
		if whole.From != 0 || whole.To != int64(len(all)) || whole.Len() != int64(len(all)) {
			t.Fatalf("the log is [%d, %d), %d records were written", whole.From, whole.To, len(all))
		}
		if r := logRange(t, client, TopicPartition{topic, 0}); r.Len() != 0 {
			t.Errorf("an empty partition is [%d, %d)", r.From, r.To)
		} else if got := readRange(t, client, r); len(got.bounds) != 0 {
			t.Errorf("of nothing, %v was read", got)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 30 {
			from := r.Int64N(whole.To)
			to := from + r.Int64N(whole.To-from+1)
			got := readRange(t, client, LogRange{tp, from, to, []int32{1, 100, 1000, 0}[r.IntN(4)]})
			if !slices.Equal(got.values, all[from:to]) || from < to && got.end() != to {
				t.Errorf("[%d, %d): %d values in %v", from, to, len(got.values), got.bounds)
			}
		}
		if got := readRange(t, client, LogRange{tp, 0, whole.To, 200}); len(got.bounds) < 10 {
			t.Errorf("chunks of 200 bytes: %v", got.bounds)
		}
		for _, beyond := range []LogRange{{tp, whole.To - 1, whole.To + 10, 0}, {tp, -5, whole.To * 2, 0}} {
			if got := readRange(t, client, beyond); got.end() != whole.To {
				t.Errorf("a range beyond the end ended at %d, not %d", got.end(), whole.To)
			}
		}
		if got := readRange(t, client, LogRange{tp, whole.To + 3, whole.To + 5, 0}); len(got.bounds) != 0 {
			t.Errorf("above the end, %v was read", got)
		}
		for chunk, err := range client.Read(timeout(t), LogRange{tp, 0, whole.To, 100}) {
			if err != nil || chunk.From != 0 {
				t.Error(chunk.From, err)
			}
			break // a reader may stop
		}
	})
}

// Only what was committed is read, and the range ends although its last
// offsets are markers and records of aborted transactions.
func TestReadRangeOfTransactions(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		client := c.client(t)
		committed := c.transactions(t, topic)
		whole := logRange(t, client, TopicPartition{topic, 0})
		for _, size := range []int32{1, 0} {
			whole.MaxBytes = size
			if got := readRange(t, client, whole); !slices.Equal(got.values, committed) || got.end() != whole.To {
				t.Errorf("%v in %v of [%d, %d), want %v", got.values, got.bounds, whole.From, whole.To, committed)
			}
		}
		// An open transaction is not waited for.
		open, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID(string(newName("tx"))), kgo.DefaultProduceTopic(string(topic)))
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if err := errors.Join(open.BeginTransaction(), open.ProduceSync(timeout(t), kgo.StringRecord("open")).FirstErr()); err != nil {
			t.Fatal(err)
		}
		if r := logRange(t, client, whole.TopicPartition); r.To != whole.To {
			t.Errorf("with an open transaction at %d the log ends at %d", whole.To, r.To)
		}
		whole.To++
		if got := readRange(t, client, whole); !slices.Equal(got.values, committed) || got.end() != whole.To-1 {
			t.Errorf("into an open transaction: %d values up to %d", len(got.values), got.end())
		}
		if err := open.EndTransaction(timeout(t), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReadRangeAfterRetention(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		client := c.client(t)
		c.write(t, topic, 0, values(10, "%d")...)
		tp := TopicPartition{topic, 0}
		c.removeBelow(t, topic, 0, 6)
		if r := logRange(t, client, tp); r.From != 6 || r.To != 10 {
			t.Errorf("the log is [%d, %d)", r.From, r.To)
		}
		got := readRange(t, client, LogRange{tp, 2, 9, 0})
		if !slices.Equal(got.values, []string{"6", "7", "8"}) || got.bounds[0][0] != 6 {
			t.Errorf("%v in %v", got.values, got.bounds)
		}
		if got := readRange(t, client, LogRange{tp, 2, 5, 0}); len(got.bounds) != 0 {
			t.Errorf("of what is gone, %v was read", got)
		}
		c.removeBelow(t, topic, 0, 10)
		if got := readRange(t, client, LogRange{tp, 0, 10, 0}); len(got.bounds) != 0 {
			t.Errorf("of an emptied log, %v was read", got)
		}
	})
}

// Compaction leaves holes, at the end of a range too.
func TestReadRangeWithHoles(t *testing.T) {
	c := embedded(t)
	if err := c.embed.CreateTopic("t", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "1", "min.cleanable.dirty.ratio": "0"}); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for i := range 30 {
		key := i % 7
		if i%10 == 4 {
			key = 100 + i // written once, so it stays
		}
		r := &kgo.Record{Topic: "t", Key: []byte{byte(key)}, Value: fmt.Append(nil, i), Timestamp: old}
		if err := c.kgo.ProduceSync(timeout(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.embed.Compact(); err != nil {
		t.Fatal(err)
	}
	tp := TopicPartition{"t", 0}
	client := c.client(t)
	left := readRange(t, client, LogRange{tp, 0, 30, 0})
	if len(left.values) >= 30 || left.values[0] != "4" || left.end() != 30 {
		t.Fatalf("after compaction: %v in %v", left.values, left.bounds)
	}
	for to := range int64(31) {
		got := readRange(t, client, LogRange{tp, 0, to, 1})
		var want []string
		for _, v := range left.values {
			var offset int64
			if _, err := fmt.Sscan(v, &offset); err != nil {
				t.Fatal(err)
			}
			if offset < to {
				want = append(want, v)
			}
		}
		if !slices.Equal(got.values, want) || to > 4 && got.end() != to {
			t.Errorf("up to %d: %v in %v, want %v", to, got.values, got.bounds, want)
		}
	}
}

// FuzzTakeAnswer: what a broker sends that cannot be read is an error, never a
// loop, and what can be read stays within the range.
func FuzzTakeAnswer(f *testing.F) {
	batch, err := recordbatch.AppendBatch(nil, recordbatch.NoProducer, recordbatch.NoSequence,
		[]recordbatch.Record{{Key: []byte("k"), Value: []byte("v")}, {Value: []byte("w")}}, recordbatch.Snappy)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(batch, int64(0), int64(9))
	f.Add(batch[:len(batch)-1], int64(0), int64(1))
	f.Add(slices.Concat(batch, batch), int64(1), int64(2))
	f.Fuzz(func(t *testing.T, answer []byte, from, to int64) {
		if from < 0 || from >= to {
			return
		}
		s := &scan{LogRange: LogRange{TopicPartition{"t", 0}, from, to, 0}, next: from}
		chunk, moved, err := s.take(&kmsg.FetchResponseTopicPartition{RecordBatches: answer})
		switch {
		case err != nil && (moved || !errors.Is(err, errBatch) || s.next != from):
			t.Errorf("%v, moved %v, at %d", err, moved, s.next)
		case err == nil && (!moved || chunk.From != from || chunk.Next <= from || chunk.Next > to || s.next != chunk.Next):
			t.Errorf("%+v, moved %v, at %d", chunk, moved, s.next)
		}
	})
}

// No topics are none, and not all.
func TestLogRangesOfNothing(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		c.topic(t, 1)
		client := c.client(t)
		for _, topics := range [][]WireTopic{nil, {newName("missing")}} {
			if ranges, err := client.LogRanges(timeout(t), topics); err != nil || len(ranges) != 0 {
				t.Errorf("of %v: %v, %v", topics, ranges, err)
			}
		}
	})
}

// Who needs all of a range learns that the log has ended before.
func TestWhole(t *testing.T) {
	r := LogRange{TopicPartition: TopicPartition{"orders", 1}, From: 3, To: 9}
	for name, test := range map[string]struct {
		chunks []Chunk
		err    error // of the read
		want   error
	}{
		"all":                   {chunks: []Chunk{{From: 3, Next: 5}, {From: 5, Next: 9}}},
		"its beginning is gone": {chunks: []Chunk{{From: 7, Next: 9}}},
		"nothing":               {want: ErrEndsEarly},
		"its end is not shown":  {chunks: []Chunk{{From: 3, Next: 8}}, want: ErrEndsEarly},
		"another error":         {chunks: []Chunk{{From: 3, Next: 8}}, err: ErrClosed, want: ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			read := func(yield func(Chunk, error) bool) {
				for _, c := range test.chunks {
					if !yield(c, nil) {
						return
					}
				}
				if test.err != nil {
					yield(Chunk{}, test.err)
				}
			}
			var got []int64
			var last error
			for c, err := range Whole(r, read) {
				if last = err; err == nil {
					got = append(got, c.Next)
				}
			}
			if !errors.Is(last, test.want) || len(got) != len(test.chunks) {
				t.Errorf("%v, then %v", got, last)
			}
			for range Whole(r, read) { // whoever has enough is not told more
				break
			}
		})
	}
	for range Whole(LogRange{From: 9, To: 9}, func(func(Chunk, error) bool) {}) {
		t.Error("something of an empty range")
	}
}
