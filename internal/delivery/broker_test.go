package delivery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// broker is a scripted Source and Committer for one member of a group.
type broker struct {
	mu        sync.Mutex
	logs      map[kafka.TopicPartition][]*kafka.Record
	ends      map[kafka.TopicPartition]int64 // behind control records
	position  map[kafka.TopicPartition]int64 // of what is assigned
	paused    map[kafka.TopicPartition]bool
	committed map[kafka.TopicPartition]int64
	changed   chan struct{} // closed when something may be fetched

	polls           int
	pauses, resumes []string // "topic/partition@seconds"
	commits         int
	started         time.Time
	closed          bool
	// onCommit answers a commit instead of the broker, if it is not nil.
	onCommit func(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error
}

func newBroker() *broker {
	return &broker{
		logs:      map[kafka.TopicPartition][]*kafka.Record{},
		ends:      map[kafka.TopicPartition]int64{},
		position:  map[kafka.TopicPartition]int64{},
		paused:    map[kafka.TopicPartition]bool{},
		committed: map[kafka.TopicPartition]int64{},
		changed:   make(chan struct{}),
		started:   time.Now(),
	}
}

func at(topic string, partition int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: kafka.WireTopic(topic), Partition: partition}
}

func (b *broker) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// produce appends n records.
func (b *broker) produce(tp kafka.TopicPartition, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		b.logs[tp] = append(b.logs[tp], &kafka.Record{Topic: string(tp.Topic), Partition: tp.Partition, Offset: b.ends[tp], LeaderEpoch: 3, Value: []byte("secret body")})
		b.ends[tp]++
	}
	b.signal()
}

// control appends n control records, which are never returned.
func (b *broker) control(tp kafka.TopicPartition, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends[tp] += n
	b.signal()
}

// seek lets reading go on elsewhere, as after a truncation.
func (b *broker) seek(tp kafka.TopicPartition, offset int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.position[tp] = offset
	b.signal()
}

func (b *broker) Poll(ctx context.Context, maxRecords int) ([]kafka.Fetched, error) {
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return nil, errors.New("closed")
		}
		b.polls++
		fetched := b.fetch(maxRecords)
		changed := b.changed
		b.mu.Unlock()
		if len(fetched) > 0 {
			return fetched, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fetch takes turns among the partitions only as far as maps do.
func (b *broker) fetch(maxRecords int) (all []kafka.Fetched) {
	for tp, from := range b.position {
		if b.paused[tp] || from >= b.ends[tp] || maxRecords == 0 {
			continue
		}
		f := kafka.Fetched{TopicPartition: tp, Next: kafka.Offset{At: b.ends[tp], LeaderEpoch: 3}}
		for _, r := range b.logs[tp] {
			if r.Offset < from {
				continue
			}
			if len(f.Records) == maxRecords {
				f.Next.At = r.Offset
				break
			}
			copied := *r
			f.Records = append(f.Records, &copied)
		}
		maxRecords -= len(f.Records)
		b.position[tp] = f.Next.At
		all = append(all, f)
	}
	return all
}

func (b *broker) note(list []string, tps []kafka.TopicPartition) []string {
	for _, tp := range tps {
		list = append(list, string(tp.Topic)+"@"+time.Since(b.started).String())
	}
	return list
}

func (b *broker) Pause(tps []kafka.TopicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pauses = b.note(b.pauses, tps)
	for _, tp := range tps {
		b.paused[tp] = true
	}
}

func (b *broker) Resume(tps []kafka.TopicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resumes = b.note(b.resumes, tps)
	for _, tp := range tps {
		delete(b.paused, tp)
	}
	b.signal()
}

func (b *broker) Commit(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error {
	b.mu.Lock()
	b.commits++
	answer := b.onCommit
	b.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, offsets); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for tp, o := range offsets {
		b.committed[tp] = o.At
	}
	return nil
}

func (b *broker) committedAt(tp kafka.TopicPartition) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.committed[tp]
}

func (b *broker) commitCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.commits
}

func (b *broker) pollCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.polls
}

func (b *broker) noted(list *[]string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(*list)
}

func (b *broker) positionOf(tp kafka.TopicPartition) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.position[tp]
}

// assign gives partitions to the engine, read from where they were committed.
// No poll may be on its way back; synctest.Wait sees to that.
func (b *broker) assign(e *Engine, tps ...kafka.TopicPartition) {
	e.Assigned(context.Background(), tps)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, tp := range tps {
		b.position[tp] = b.committed[tp]
	}
	b.signal()
}

func (b *broker) unassign(tps []kafka.TopicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.position, func(tp kafka.TopicPartition, _ int64) bool { return slices.Contains(tps, tp) })
}

func (b *broker) revoke(ctx context.Context, e *Engine, tps ...kafka.TopicPartition) {
	b.unassign(tps)
	e.Revoked(ctx, tps)
}

func (b *broker) lose(e *Engine, tps ...kafka.TopicPartition) {
	b.unassign(tps)
	e.Lost(tps)
}
