package delivery

import (
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// backlog is what was polled of a partition and not admitted yet. It keeps the
// slices that the polls returned.
type backlog struct {
	chunks []chunk
	count  int
	bytes  int
}

type chunk struct {
	records []*kafka.Record
	polled  time.Time
}

func (b *backlog) len() int { return b.count }

// large reports whether it is more than a little.
func (b *backlog) large(l *Limits) bool { return b.count > l.LowBacklog || b.bytes > l.LowBacklogBytes }

// add appends what was polled.
func (b *backlog) add(records []*kafka.Record, polled time.Time) {
	if len(records) == 0 {
		return
	}
	b.chunks = append(b.chunks, chunk{records, polled})
	b.count += len(records)
	for _, r := range records {
		b.bytes += sizeOf(r)
	}
}

// first returns the oldest record and when it was polled.
func (b *backlog) first() (*kafka.Record, time.Time) {
	c := &b.chunks[0]
	return c.records[0], c.polled
}

// drop removes the oldest record, which has size.
func (b *backlog) drop(size int) {
	c := &b.chunks[0]
	b.bytes -= size
	c.records[0] = nil
	c.records = c.records[1:]
	if b.count--; len(c.records) > 0 {
		return
	}
	b.chunks[0] = chunk{}
	b.chunks = b.chunks[1:]
	if len(b.chunks) == 0 {
		b.chunks = nil
	}
}

// truncate removes the records from offset on: they have been replaced.
func (b *backlog) truncate(offset int64) {
	for len(b.chunks) > 0 {
		c := &b.chunks[len(b.chunks)-1]
		for len(c.records) > 0 && c.records[len(c.records)-1].Offset >= offset {
			b.bytes -= sizeOf(c.records[len(c.records)-1])
			c.records = c.records[:len(c.records)-1]
			b.count--
		}
		if len(c.records) > 0 {
			return
		}
		b.chunks = b.chunks[:len(b.chunks)-1]
	}
}

func (b *backlog) clear() { *b = backlog{} }
