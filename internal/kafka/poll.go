package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"
)

// pollMost is how many records a poll returns when the caller does not say.
const pollMost = 500

// withoutControl takes the transaction markers out of records, in place. They
// are only fetched so that the position passes them.
func withoutControl(records []*Record) []*Record {
	for i, r := range records {
		if !r.Attrs.IsControl() {
			continue
		}
		kept := records[:i]
		for _, r := range records[i:] {
			if !r.Attrs.IsControl() {
				kept = append(kept, r)
			}
		}
		clear(records[len(kept):])
		return kept
	}
	return records
}

// fetched is what a poll returned of a partition and the offset of its first
// record, or false if it returned nothing. What franz-go has dropped of aborted
// transactions is passed when a later record, at the latest the marker of the
// abort, arrives. What compaction has left empty at the end of a partition is
// passed when something is appended: franz-go does not tell of it before.
func fetched(topic string, p *kgo.FetchPartition) (first int64, f Fetched, ok bool) {
	if len(p.Records) == 0 {
		return 0, Fetched{}, false
	}
	first, last := p.Records[0].Offset, p.Records[len(p.Records)-1]
	f.TopicPartition = TopicPartition{Topic: WireTopic(topic), Partition: p.Partition}
	f.Next = Offset{At: last.Offset + 1, LeaderEpoch: last.LeaderEpoch}
	f.Records = withoutControl(p.Records)
	return first, f, true
}

// byTopic is partitions as franz-go wants them.
func byTopic(partitions []TopicPartition) map[string][]int32 {
	m := make(map[string][]int32)
	for _, tp := range partitions {
		m[string(tp.Topic)] = append(m[string(tp.Topic)], tp.Partition)
	}
	return m
}

// Gap is a part of a partition that will never be read, since it was removed
// before it was.
type Gap struct {
	TopicPartition
	From, To int64 // offsets; From is the first one that is missing
}

// Truncation is what a broker lost after it had been read: an unclean leader
// election. Reading goes on at To; what stands there now may be other records.
type Truncation struct {
	TopicPartition
	From, To int64 // the positions before and after
}
