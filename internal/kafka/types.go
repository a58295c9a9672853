package kafka

import (
	"context"

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
