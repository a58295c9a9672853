package lanes

import (
	"cmp"
	"slices"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/recordbatch"
)

type row = eventmodels.OutboxRow

// topicID is the id of a topic, zero if the brokers have none.
type topicID = [16]byte

// seal is what the bytes of a batch depend on besides its rows, and the log
// that they are meant for.
type seal struct {
	id    Identity
	topic topicID
	seq   int32
}

// batch is what a lane has in its hand: rows that are sent together.
type batch struct {
	lane *lane
	rows []*row
	// size is an upper bound of the size without compression.
	size int

	// sealed is set when the batch is put into a request. While it stays the
	// same, so do the bytes.
	sealed seal
	// encoded are the bytes; nil: to be encoded. Between launch and answer
	// it belongs to whoever carries the request.
	encoded *buffer
	// attempts counts the requests with these bytes.
	attempts int
	// corrupt counts the answers that it has not arrived as it was sent.
	corrupt int
	// uncertain: an attempt with these bytes may have been written.
	uncertain bool
	// stray: while it was flying its topic was created again with another
	// number of partitions, so that its rows may belong elsewhere.
	stray bool
}

// recordOf returns the row as a record.
func recordOf(r *row) recordbatch.Record {
	return recordbatch.Record{Key: r.Key, Value: r.Payload, RawHeaders: r.Headers, Timestamp: r.CreatedAt}
}

// sizeOf returns an upper bound of what a row adds to a batch.
func sizeOf(r *row) int { return recordbatch.RecordSize(recordOf(r)) }

// sizeOfBatch returns an upper bound of the size of a batch.
func sizeOfBatch(rows []*row) int {
	size := recordbatch.BatchOverhead
	for _, r := range rows {
		size += sizeOf(r)
	}
	return size
}

// fit returns how many of the first rows go into a batch, at least one, and an
// upper bound of its size. A row that could be above maxBytes goes alone: the
// broker decides about it.
func fit(rows []*row, maxBytes, maxRecords int) (n, size int) {
	size = recordbatch.BatchOverhead
	for n < len(rows) && n < maxRecords {
		s := sizeOf(rows[n])
		if n > 0 && size+s > maxBytes {
			break
		}
		size += s
		n++
	}
	return n, size
}

// split divides the rows of a batch that was refused. bad are the indices of
// those that the broker has complained about; without any that make sense, the
// rows are halved. The parts hold all rows in their order, and each is shorter
// than rows, which has at least two.
func split(rows []*row, bad []int32) [][]*row {
	bad = slices.DeleteFunc(slices.Clone(bad), func(i int32) bool { return i < 0 || int(i) >= len(rows) })
	slices.Sort(bad)
	bad = slices.Compact(bad)
	if len(bad) == 0 {
		half := len(rows) / 2
		return [][]*row{rows[:half:half], rows[half:]}
	}
	var parts [][]*row
	from := 0
	for _, i := range bad {
		if from < int(i) {
			parts = append(parts, rows[from:i:i])
		}
		parts = append(parts, rows[i:i+1:i+1])
		from = int(i) + 1
	}
	if from < len(rows) {
		parts = append(parts, rows[from:])
	}
	return parts
}

// compareBatches orders the batches of a request: those of a topic together.
func compareBatches(a, b *batch) int {
	return cmp.Or(cmp.Compare(a.lane.topic.name, b.lane.topic.name), cmp.Compare(a.lane.partition, b.lane.partition))
}
