// Package mark computes exactly-once marks: which event a handler has done.
package mark

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/google/uuid"

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
//
// If the id is a UUIDv7, as those that the library makes are, its time stands
// first in the mark, in steps of 256 ms. So marks of the same minutes lie side by
// side in the table's index: a table of marks is too large for the database's
// cache, and where keys are random every insert reads and logs another page of it.
// 88 bits of the hash are left to tell the marks of such a step apart.
func Of(h Handler, source, id string) eventmodels.Mark {
	m := hash(h.Prefix, h.Group, h.Name, h.BaseTopic, source, id)
	if len(id) == canonicalLength {
		if u, err := uuid.Parse(id); err == nil && u.Version() == 7 {
			copy(m[:timeBytes], u[:timeBytes])
		}
	}
	return m
}

const (
	// canonicalLength is that of a UUID's text in RFC 9562, with hyphens.
	canonicalLength = 36
	// timeBytes are those of a UUIDv7 that count in 256 ms.
	timeBytes = 5
)

// OfOrigin returns the mark of an event without id. It has one part more than
// [Of] hashes, so the two hash nothing that is equal.
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
