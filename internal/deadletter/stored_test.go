package deadletter

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

const topic kafka.WireTopic = "p.orders.g.dead-letter"

var place = kafka.TopicPartition{Topic: topic, Partition: 1}

// storedLog is one partition of a dead-letter topic.
type storedLog struct {
	mu      sync.Mutex
	records []*kafka.Record
	read    []kafka.LogRange
	// hidden are how many records at the end a leader does not show yet.
	hidden int64
	// produce answers instead of writing, if it is not nil.
	produce  func(ctx context.Context, r *kafka.Record) error
	produced int
}

func (l *storedLog) append(h letters.Header) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := h.Record(place, &kafka.Record{Key: []byte("k"), Value: []byte("v")})
	r.Offset = int64(len(l.records))
	l.records = append(l.records, r)
	return r.Offset
}

func (l *storedLog) ProducePlaced(ctx context.Context, records []*kafka.Record) error {
	for _, r := range records {
		l.mu.Lock()
		l.produced++
		answer := l.produce
		l.mu.Unlock()
		if answer != nil {
			if err := answer(ctx, r); err != nil {
				return err
			}
		}
		l.mu.Lock()
		r.Offset = int64(len(l.records))
		l.records = append(l.records, r)
		l.mu.Unlock()
	}
	return nil
}

func (l *storedLog) PartitionCount(context.Context, kafka.WireTopic) (int, error) { return 1, nil }
func (l *storedLog) Forget(kafka.WireTopic)                                       {}

func (l *storedLog) LogRanges(context.Context, []kafka.WireTopic) (map[kafka.TopicPartition]kafka.LogRange, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[kafka.TopicPartition]kafka.LogRange{place: {TopicPartition: place, From: 0, To: int64(len(l.records))}}, nil
}

func (l *storedLog) Read(_ context.Context, r kafka.LogRange) iter.Seq2[kafka.Chunk, error] {
	l.mu.Lock()
	l.read = append(l.read, r)
	part := slices.Clone(l.records[r.From:r.To])
	l.mu.Unlock()
	return func(yield func(kafka.Chunk, error) bool) {
		const most = 3
		end := min(r.To, int64(len(l.records))-l.hidden)
		for from := r.From; from < end; from += most {
			next := min(from+most, end)
			if !yield(kafka.Chunk{From: from, Next: next, Records: part[from-r.From : next-r.From]}, nil) {
				return
			}
		}
	}
}

// fetch gives the index what a poll returns of [from, to).
func (l *storedLog) fetch(x *Index, from, to int64) {
	l.mu.Lock()
	f := kafka.Fetched{TopicPartition: place, Records: slices.Clone(l.records[from:to]), Next: kafka.Offset{At: to}}
	l.mu.Unlock()
	x.fetched(&f)
}

func letter(id byte, kind letters.Kind, follows int64) letters.Header {
	return letters.Header{Kind: kind, ID: eventmodels.Mark{id}, Group: "g", Handler: "h", Topic: "orders", Follows: follows, Mode: letters.Retry}
}

// woken collects what an index wakes.
func woken(x *Index) *[]int64 {
	var offsets []int64
	x.SetWake(func(_ kafka.TopicPartition, offset int64) { offsets = append(offsets, offset) })
	return &offsets
}

// ruled asks as a record's delivery does: what is not known is learnt, unless
// that is what is wanted.
func (x *Index) ruled(t *testing.T, id byte, offset int64, want ruling) {
	t.Helper()
	got := x.judge(place, eventmodels.Mark{id}, offset)
	if got == unknown && want != unknown {
		x.learnt(t, id, offset)
		got = x.judge(place, eventmodels.Mark{id}, offset)
	}
	if got != want {
		t.Errorf("letter %d at %d: ruling %d, want %d", id, offset, got, want)
	}
}

func (x *Index) learnt(t *testing.T, id byte, offset int64) {
	t.Helper()
	if err := x.learn(context.Background(), place, eventmodels.Mark{id}, offset); err != nil {
		t.Errorf("letter %d at %d: %v", id, offset, err)
	}
}
