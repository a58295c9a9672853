package letters

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Partition returns in which of a topic's n partitions a letter lies that is
// written for the first time. All records that follow lie where the record lies
// that they follow, also when the topic has more partitions by then: one
// partition holds the history of a letter.
func Partition(id eventmodels.Mark, n int) int32 {
	return int32(binary.BigEndian.Uint64(id[:8]) % uint64(max(n, 1)))
}

// Record makes the record with these headers: event's key, value and own
// headers, those of the protocol behind them. An event that is itself a record
// of the protocol leaves its headers of the protocol behind. For kinds that
// carry no event, event has but the key.
//
// The record has no timestamp, so that it gets that of its being appended; the
// event's is h.Time.
func (h Header) Record(place kafka.TopicPartition, event *kafka.Record) *kafka.Record {
	return &kafka.Record{
		Topic: string(place.Topic), Partition: place.Partition, Key: event.Key, Value: event.Value,
		Headers: h.Append(slices.Clip(Own(event.Headers))),
	}
}

// EventTime is the timestamp of the event in a record with these headers.
func (h Header) EventTime(r *kafka.Record) time.Time {
	if h.Time.IsZero() {
		return r.Timestamp
	}
	return h.Time.Local() // as those of records that are fetched
}
