package kafka

import (
	"errors"
	"sync"

	"github.com/seed46dd6f11/events/eventmodels"
)

// call is one call of Produce. While the sender has rows of it, its fields are
// under the producer's lock, except those that do not change then: rows, sent and
// placed.
type call struct {
	rows []eventmodels.OutboxRow
	// placed are the records that the rows were made of, if they say in which
	// partition they belong; offsets are where they were written.
	placed  []*Record
	offsets []int64
	// sent are those of the rows that are for the sender, and room is what they
	// take.
	sent []*eventmodels.OutboxRow
	room int64
	slot int

	errs   []error // errPending, nil for an acknowledged row
	left   int     // rows with errPending
	failed bool    // there is an error
	// lost: the sender may still refer to the rows.
	lost bool
	// done has room for the one message that nothing is left.
	done chan struct{}
}

// errPending is the result of a row that has none yet.
var errPending = errors.New("pending")

// callPool has calls that can be used again, with the memory of their slices. It
// is a client's own: a channel belongs to the testing/synctest bubble that it was
// made in.
type callPool struct{ pool sync.Pool }

func (p *callPool) get() *call {
	if k, ok := p.pool.Get().(*call); ok {
		return k
	}
	return &call{done: make(chan struct{}, 1)}
}

// maxPooledRows bounds the calls that are kept.
const maxPooledRows = 1 << 12

// begin notes that no row has a result.
func (k *call) begin() {
	k.left = len(k.rows)
	for range k.rows {
		k.errs = append(k.errs, errPending)
		if k.placed != nil {
			k.offsets = append(k.offsets, -1)
		}
	}
}

// settle notes a row's result.
func (k *call) settle(i int, err error) {
	k.errs[i] = err
	k.left--
	k.failed = k.failed || err != nil
}

// fail is the result of all rows without one.
func (k *call) fail(err error) {
	for i := range k.errs {
		if k.errs[i] == errPending {
			k.settle(i, err)
		}
	}
}

// put makes a call's memory available again, except if the sender may still refer
// to it.
func (p *callPool) put(k *call) {
	if k.lost || cap(k.rows) > maxPooledRows {
		return
	}
	clear(k.rows)
	clear(k.sent)
	clear(k.errs)
	*k = call{rows: k.rows[:0], sent: k.sent[:0], errs: k.errs[:0], offsets: k.offsets[:0], done: k.done}
	p.pool.Put(k)
}
