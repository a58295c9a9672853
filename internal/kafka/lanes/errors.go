package lanes

import (
	"errors"
	"fmt"
)

// ErrNoPartition is the cause of a [RefusedError] of [Sender.SendTo]: the topic
// does not have the partition that the row is for.
var ErrNoPartition = errors.New("it has no such partition")

// TooLargeError is the error of a row that is larger than its topic allows.
type TooLargeError struct {
	Topic     string
	Partition int32
	// Size is what the broker compares with the limit: the size of the batch
	// that has only this row, compressed if compression is on.
	Size int
	// Limit is the topic's max.message.bytes as far as it is known; it can be
	// above Size if the topic's configuration has just changed.
	Limit int
	// Err is the broker's answer.
	Err error
}

// Error says both sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a record of %d bytes is too large for topic %s (max.message.bytes %d): %v", e.Size, e.Topic, e.Limit, e.Err)
}

// Unwrap returns the broker's answer.
func (e *TooLargeError) Unwrap() error { return e.Err }

// RefusedError is the error of a row that the brokers refuse for another
// reason than its size, such as a record without key in a compacted topic.
type RefusedError struct {
	Topic     string
	Partition int32
	// Reason is the broker's explanation, "" if it gave none.
	Reason string
	// Err is the broker's answer, or [ErrNoPartition].
	Err error
}

// Error says what the broker said.
func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("topic %s refuses the record: %v", e.Topic, e.Err)
	}
	return fmt.Sprintf("topic %s refuses the record: %s (%v)", e.Topic, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// HeldError says why a topic cannot be written.
type HeldError struct {
	Topic string
	// Partition is -1 if it is about the whole topic.
	Partition int32
	// Reason is the broker's explanation, or what was tried; "" if there is
	// nothing to add to Err.
	Reason string
	// Err is nil if no broker has said so.
	Err error
}

// Error says which topic, and why.
func (e *HeldError) Error() string {
	s := "topic " + e.Topic
	if e.Partition >= 0 {
		s = fmt.Sprintf("partition %d of topic %s", e.Partition, e.Topic)
	}
	switch {
	case e.Reason == "":
		return fmt.Sprintf("%s cannot be written: %v", s, e.Err)
	case e.Err == nil:
		return fmt.Sprintf("%s cannot be written: %s", s, e.Reason)
	}
	return fmt.Sprintf("%s cannot be written: %s: %v", s, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *HeldError) Unwrap() error { return e.Err }
