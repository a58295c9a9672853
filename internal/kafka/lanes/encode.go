package lanes

import (
	"sync"

	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// buffer holds the bytes of a batch until they are acknowledged.
type buffer struct {
	bytes []byte
	// lent: a request with these bytes has ended without an answer, and
	// franz-go may still be writing it. They are never used again.
	lent bool
}

// maxPooled is the largest buffer that is kept for later.
const maxPooled = 2 << 20

var (
	buffers = sync.Pool{New: func() any { return new(buffer) }}
	records = sync.Pool{New: func() any { return new([]recordbatch.Record) }}
)

// free makes the buffer's memory available again. A nil buffer has none.
func (b *buffer) free() {
	if b == nil || b.lent || cap(b.bytes) > maxPooled {
		return
	}
	b.bytes = b.bytes[:0]
	buffers.Put(b)
}

// encode makes the bytes of a batch, if there are none.
func (b *batch) encode(c recordbatch.Compression) error {
	if b.encoded != nil {
		return nil
	}
	rs := records.Get().(*[]recordbatch.Record)
	for _, r := range b.rows {
		*rs = append(*rs, recordOf(r))
	}
	to := buffers.Get().(*buffer)
	producer := recordbatch.Producer{ID: b.sealed.id.ProducerID, Epoch: b.sealed.id.Epoch}
	var err error
	to.bytes, err = recordbatch.AppendBatch(to.bytes[:0], producer, b.sealed.seq, *rs, c)
	clear(*rs)
	*rs = (*rs)[:0]
	records.Put(rs)
	if err != nil {
		to.free()
		return err
	}
	b.encoded = to
	return nil
}
