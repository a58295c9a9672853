package kafka

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record as it was fetched or is to be produced. It is franz-go's
// type, so that nothing is copied on the way through; its Topic is always the
// wire topic.
type Record = kgo.Record

// Header is a header of a record.
type Header = kgo.RecordHeader

// WireTopic is the name of a topic in the cluster: the application's name
// with the library's prefix.
type WireTopic string

// TopicPartition names a partition. Offsets, windows and pauses are keyed by
// it, never by the partition's number alone.
type TopicPartition struct {
	Topic     WireTopic
	Partition int32
}

// String is topic/partition.
func (tp TopicPartition) String() string {
	return string(tp.Topic) + "/" + strconv.Itoa(int(tp.Partition))
}

func (tp TopicPartition) less(other TopicPartition) bool {
	if tp.Topic != other.Topic {
		return tp.Topic < other.Topic
	}
	return tp.Partition < other.Partition
}

// Offset is a position in a partition.
type Offset struct {
	// At is the offset of the next record to read.
	At int64
	// LeaderEpoch is the epoch of the last record before At, -1 if unknown.
	// It lets the broker notice a truncation (KIP-320).
	LeaderEpoch int32
}

// Fetched is what one poll returned of one partition, in order.
type Fetched struct {
	TopicPartition
	Records []*Record
	// Next is the position after everything that was fetched, control records
	// and records of aborted transactions included (which are not in
	// Records). It can be above the last record's offset + 1.
	Next Offset

	assigned *assignment // nil from a Reader
}

// Stale says whether the assignment that this was fetched in has ended: it is
// true before Revoked or Lost is called for the partition, and stays so when
// the partition is assigned to this member again. A caller that holds a lock
// which its Revoked and Lost take, too, never mistakes what was fetched in an
// earlier assignment for the current one's.
func (f *Fetched) Stale() bool { return f.assigned != nil && f.assigned.ended.Load() }

// assignment is the time from a partition's Assigned to its Revoked or Lost.
type assignment struct {
	since uint64 // the group's count of assignments when it began
	ended atomic.Bool
	next  int64 // the next offset expected, -1 if unknown; under the group's lock
}

// Assignments is told what a group's member owns. Its methods are called one
// after another, never at the same time.
type Assignments interface {
	// Assigned is called before the first record of the partitions is
	// returned by Poll.
	Assigned(ctx context.Context, partitions []TopicPartition)
	// Revoked is called when partitions go to another member; they do, and
	// are fetched by it, when Revoked returns. Until then the member may
	// commit. ctx ends when the group would no longer wait.
	Revoked(ctx context.Context, partitions []TopicPartition)
	// Lost is called when the partitions already belong to somebody else:
	// nothing of them may be committed.
	Lost(partitions []TopicPartition)
}

// Source is what deliveries are fetched from: a [Group] or a [Reader].
type Source interface {
	// Poll waits until something was fetched or ctx ends, and returns at most
	// maxRecords. Errors of partitions are handled and logged by the source;
	// an error means that it was closed or that ctx has ended.
	Poll(ctx context.Context, maxRecords int) ([]Fetched, error)
	// Pause stops fetching partitions, and throws away what is buffered of
	// them; it will be fetched again.
	Pause(partitions []TopicPartition)
	// Resume undoes Pause.
	Resume(partitions []TopicPartition)
}
