package eventmodels

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// DerivedID returns an id for the n-th event (from 0) that this handler
// produces because of e. It is the same whenever the handler gets e again, so
// that a redelivered idempotent handler produces the same event and not a
// second one:
//
//	lib.Produce(ctx, eventmodels.ProduceImmediate, shipped.Event(key, model).ID(e.DerivedID(0)))
//
// It is a UUID (version 8, RFC 9562) made of the source, the id, the group, the
// handler and n; for an event without id its topic, partition and offset stand
// in for source and id. The derived event must have the same source each time,
// too: by default that is the program's name.
func (e Event[E]) DerivedID(n int) string {
	parts := [...]string{e.Source, e.ID, e.ConsumerGroup, e.HandlerName, strconv.Itoa(n)}
	if e.ID == "" {
		parts[0] = e.Topic
		parts[1] = "\x00" + strconv.Itoa(int(e.Partition)) + "/" + strconv.FormatInt(e.Offset, 10)
	}
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	var id uuid.UUID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // RFC variant
	return id.String()
}
