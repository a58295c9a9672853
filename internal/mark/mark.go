// Package mark computes exactly-once marks: which event a handler has done.
package mark

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Handler identifies who handles: two prefixes, groups or handlers each
// handle an event once.
type Handler struct {
	Prefix, Group, Name, BaseTopic string
}

// Origin is where a record was first written; it identifies an event that
// has no id. Letters carry it on.
type Origin struct {
	Topic     string // wire topic
	Partition int32
	Offset    int64
	Timestamp time.Time
}

// Of returns the mark of the event with this source and id.
func Of(h Handler, source, id string) eventmodels.Mark {
	return hash(h.Prefix, h.Group, h.Name, h.BaseTopic, source, id)
}

// OfOrigin returns the mark of an event without id. It has one part more than
// [Of] hashes, so the two are never equal.
func OfOrigin(h Handler, o Origin) eventmodels.Mark {
	return hash(h.Prefix, h.Group, h.Name, h.BaseTopic,
		o.Topic, strconv.FormatInt(int64(o.Partition), 10), strconv.FormatInt(o.Offset, 10)+"@"+strconv.FormatInt(o.Timestamp.UnixMilli(), 10))
}

// hash writes each part behind its length, so that ("a", "bc") and ("ab",
// "c") differ.
func hash(parts ...string) (m eventmodels.Mark) {
	var buf [512]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	copy(m[:], sum[:])
	return m
}
